// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// agentSecret reads the credentials of the agent of a member, as somebody can who
// got into that member.
func agentSecret(t *testing.T, m *member) *corev1.Secret {
	t.Helper()
	secret, err := m.memberClient.CoreV1().Secrets(wellknown.NamespaceSystem).Get(t.Context(), wellknown.AgentName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// asAgent is for clients with the agent's own credentials.
func asAgent(t *testing.T, m *member) *rest.Config {
	t.Helper()
	secret := agentSecret(t, m)
	config := rest.AnonymousClientConfig(restConfig(t, bed.fleet.RESTConfig))
	config.QPS = -1
	config.CertData, config.KeyData = secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	return config
}

// attempt is a request that somebody who stole the agent's credentials might try.
type attempt struct {
	method, path string
	// body is JSON, or a patch of it.
	body   string
	header http.Header
}

// do sends the attempt and returns the status with the answer.
func (a attempt) do(ctx context.Context, client *http.Client, host string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, a.method, host+a.path, strings.NewReader(a.body))
	if err != nil {
		return 0, "", err
	}
	request.Header = a.header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	switch a.method {
	case http.MethodPatch:
		request.Header.Set("Content-Type", "application/merge-patch+json")
	default:
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	return response.StatusCode, string(answer), err
}

// impersonating is the header of a request as somebody else.
func impersonating(user string, groups ...string) http.Header {
	out := http.Header{"Impersonate-User": {user}}
	if len(groups) > 0 {
		out["Impersonate-Group"] = groups
	}
	return out
}

// signingRequest is a CertificateSigningRequest for a subject, with a key of its own.
func signingRequest(t *testing.T, subject pkix.Name, signer string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		t.Fatal(err)
	}
	seconds := int32(3600)
	raw, err := json.Marshal(&certificatesv1.CertificateSigningRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequest"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: "stolen-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), SignerName: signer, ExpirationSeconds: &seconds,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// paths of the fleet.
const (
	workAPI    = "/apis/work.fleet.dev/v1alpha1"
	clusterAPI = "/apis/cluster.fleet.dev/v1alpha1/clusters"
	leaseAPI   = "/apis/coordination.k8s.io/v1"
	csrAPI     = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
)

// TestStolenAgent uses the agent's own credentials for all that they are not for.
// Whoever steals them can harm one member at most.
func TestStolenAgent(t *testing.T) {
	t.Parallel()
	const ours, theirs = "/namespaces/fleet-cluster-member2", "/namespaces/fleet-cluster-member1"
	config := asAgent(t, bed.members[1])
	config.NextProtos = []string{"http/1.1"} // for upgrades
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	own := subjectOf(t, config.CertData)
	other := own
	other.CommonName = wellknown.UserClusterPrefix + "member1"
	admin := pkix.Name{CommonName: "thief", Organization: []string{"system:masters"}}
	more := own
	more.Organization = append([]string{"system:masters"}, own.Organization...)

	for name, allowed := range map[string]attempt{
		"its works":   {method: http.MethodGet, path: workAPI + ours + "/works"},
		"its Cluster": {method: http.MethodGet, path: clusterAPI + "/member2"},
		"its lease":   {method: http.MethodGet, path: leaseAPI + ours + "/leases/member2"},
	} {
		if code, answer, err := allowed.do(t.Context(), client, config.Host); err != nil || code != http.StatusOK {
			t.Fatalf("the credentials are good for %s, or the rest proves nothing: got %d %s %v", name, code, answer, err)
		}
	}

	const lease = `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":%q},"spec":{"holderIdentity":"thief"}}`
	cases := map[string]attempt{
		"WorksOfAnother":         {method: http.MethodGet, path: workAPI + theirs + "/works"},
		"WatchWorksOfAnother":    {method: http.MethodGet, path: workAPI + theirs + "/works?watch=true"},
		"WorksOfAll":             {method: http.MethodGet, path: workAPI + "/works"},
		"CreateWork":             {method: http.MethodPost, path: workAPI + ours + "/works", body: `{"apiVersion":"work.fleet.dev/v1alpha1","kind":"Work","metadata":{"name":"x"}}`},
		"DeleteWorks":            {method: http.MethodDelete, path: workAPI + ours + "/works"},
		"FeedbackOfAnother":      {method: http.MethodPost, path: workAPI + theirs + "/workfeedbacks", body: `{"apiVersion":"work.fleet.dev/v1alpha1","kind":"WorkFeedback","metadata":{"generateName":"x-"}}`},
		"Bindings":               {method: http.MethodGet, path: workAPI + "/resourcebindings"},
		"ChangeBinding":          {method: http.MethodPatch, path: workAPI + "/namespaces/default/resourcebindings/web-deployment", body: `{"spec":{"clusters":[]}}`},
		"SecretsOfAnother":       {method: http.MethodGet, path: "/api/v1" + theirs + "/secrets"},
		"CredentialsOfAnother":   {method: http.MethodGet, path: "/api/v1" + theirs + "/secrets/member1"},
		"SecretsOfItsNamespace":  {method: http.MethodGet, path: "/api/v1" + ours + "/secrets"},
		"SecretsOfTheFleet":      {method: http.MethodGet, path: "/api/v1/namespaces/kube-system/secrets"},
		"AllSecrets":             {method: http.MethodGet, path: "/api/v1/secrets"},
		"Templates":              {method: http.MethodGet, path: "/apis/apps/v1/deployments"},
		"WatchTemplates":         {method: http.MethodGet, path: "/api/v1/configmaps?watch=true"},
		"CreateTemplate":         {method: http.MethodPost, path: "/api/v1/namespaces/default/configmaps", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}`},
		"Namespaces":             {method: http.MethodGet, path: "/api/v1/namespaces"},
		"LeaseOfAnother":         {method: http.MethodGet, path: leaseAPI + theirs + "/leases/member1"},
		"RenewLeaseOfAnother":    {method: http.MethodPatch, path: leaseAPI + theirs + "/leases/member1", body: `{"spec":{"holderIdentity":"thief"}}`},
		"CreateLeaseElsewhere":   {method: http.MethodPost, path: leaseAPI + "/namespaces/kube-system/leases", body: fmt.Sprintf(lease, "kube-controller-manager")},
		"CreateAnotherLease":     {method: http.MethodPost, path: leaseAPI + ours + "/leases", body: fmt.Sprintf(lease, "another")},
		"DeleteLease":            {method: http.MethodDelete, path: leaseAPI + ours + "/leases/member2"},
		"Clusters":               {method: http.MethodGet, path: clusterAPI},
		"AnotherCluster":         {method: http.MethodGet, path: clusterAPI + "/member1"},
		"ItsSpec":                {method: http.MethodPatch, path: clusterAPI + "/member2", body: `{"spec":{"syncMode":"Push"}}`},
		"ItsTaints":              {method: http.MethodPatch, path: clusterAPI + "/member2", body: `{"spec":{"taints":[]}}`},
		"ItsLabels":              {method: http.MethodPatch, path: clusterAPI + "/member2", body: `{"metadata":{"labels":{"tier":"gold"}}}`},
		"DeleteItsCluster":       {method: http.MethodDelete, path: clusterAPI + "/member2"},
		"DeleteClusters":         {method: http.MethodDelete, path: clusterAPI},
		"CreateCluster":          {method: http.MethodPost, path: clusterAPI, body: `{"apiVersion":"cluster.fleet.dev/v1alpha1","kind":"Cluster","metadata":{"name":"more"},"spec":{"syncMode":"Pull","id":"x"}}`},
		"StatusOfAnother":        {method: http.MethodPatch, path: clusterAPI + "/member1/status", body: `{"status":{"kubernetesVersion":"v0"}}`},
		"TunnelOfAnother":        {method: http.MethodPost, path: clusterAPI + "/member1/tunnel", header: http.Header{"Connection": {"Upgrade"}, "Upgrade": {wellknown.TunnelProtocol}}},
		"ProxyToAnother":         {method: http.MethodGet, path: clusterAPI + "/member1/proxy/api/v1/secrets"},
		"ProxyToItself":          {method: http.MethodGet, path: clusterAPI + "/member2/proxy/api/v1/secrets"},
		"CertificateOfAnother":   {method: http.MethodPost, path: csrAPI, body: signingRequest(t, other, certificatesv1.KubeAPIServerClientSignerName)},
		"CertificateOfAdmin":     {method: http.MethodPost, path: csrAPI, body: signingRequest(t, admin, certificatesv1.KubeAPIServerClientSignerName)},
		"CertificateInMoreGroup": {method: http.MethodPost, path: csrAPI, body: signingRequest(t, more, certificatesv1.KubeAPIServerClientSignerName)},
		"CertificateOfKubelet":   {method: http.MethodPost, path: csrAPI, body: signingRequest(t, own, certificatesv1.KubeAPIServerClientKubeletSignerName)},
		"CertificateRequests":    {method: http.MethodGet, path: csrAPI},
		"ApproveCertificate":     {method: http.MethodPut, path: csrAPI + "/x/approval", body: `{"apiVersion":"certificates.k8s.io/v1","kind":"CertificateSigningRequest","metadata":{"name":"x"}}`},
		"ImpersonateAdmin":       {method: http.MethodGet, path: "/api/v1/namespaces", header: impersonating("fleet-admin", "system:masters")},
		"ImpersonateAnother":     {method: http.MethodGet, path: workAPI + theirs + "/works", header: impersonating(other.CommonName, wellknown.GroupClusters)},
		"TokenOfSomebody":        {method: http.MethodPost, path: "/api/v1/namespaces/kube-system/serviceaccounts/default/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest"}`},
		"RoleBinding":            {method: http.MethodPost, path: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body: `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"x"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"}}`},
		"Policies":               {method: http.MethodGet, path: "/apis/policy.fleet.dev/v1alpha1/clusterpropagationpolicies"},
		"Events":                 {method: http.MethodPost, path: "/api/v1/namespaces/default/events", body: `{"apiVersion":"v1","kind":"Event","metadata":{"generateName":"x-"}}`},
		"Metrics":                {method: http.MethodGet, path: "/metrics"},
		"Profiles":               {method: http.MethodGet, path: "/debug/pprof/heap"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			code, answer, err := tc.do(t.Context(), client, config.Host)
			if err != nil {
				t.Fatal(err)
			}
			if code != http.StatusForbidden {
				t.Errorf("%s %s with the agent's credentials: want 403, got %d: %s", tc.method, tc.path, code, answer)
			}
		})
	}
}

// subjectOf is the subject of a certificate in PEM.
func subjectOf(t *testing.T, raw []byte) pkix.Name {
	t.Helper()
	subject := certificateOf(t, raw).Subject
	subject.ExtraNames, subject.Names = nil, nil
	return subject
}

func certificateOf(t *testing.T, raw []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(raw)
	if block == nil {
		t.Fatalf("no certificate in %q", raw)
	}
	out, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRegisterRefuses registers a cluster with what is not right.
func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	m := bed.members[0] // has no agent
	token := strings.TrimSpace(must(t, asAdmin(), "fleet", "token", "create", "--ttl=10m"))
	t.Cleanup(func() {
		id, _, _ := strings.Cut(token, ".")
		if out := asAdmin().run(t, "fleet", "token", "delete", id); out.code != 0 {
			t.Errorf("clean up: %s", out.stderr)
		}
	})
	hash, err := bed.fleet.CACertHash()
	if err != nil {
		t.Fatal(err)
	}
	tampered := hash[:len(hash)-2] + "00"
	if tampered == hash {
		tampered = hash[:len(hash)-2] + "11"
	}
	server := restConfig(t, bed.fleet.RESTConfig).Host
	cases := map[string]struct {
		reason string
		token  string
		hash   string
		want   string
	}{
		"TamperedHash": {"who answers must be the fleet that the hash is of", token, tampered, "not the expected one"},
		"WrongToken":   {"a token that does not exist opens nothing", "aaaaaa.aaaaaaaaaaaaaaaa", hash, "token"},
		"NoHash":       {"whom to trust must be said", token, "", "ca-cert-hash"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			args := []string{"register", "intruder", "--token=" + tc.token, "--server=" + server, "--kubeconfig=" + m.Kubeconfig()}
			if tc.hash != "" {
				args = append(args, "--ca-cert-hash="+tc.hash)
			}
			out := command{}.run(t, "fleet", args...)
			if out.code == 0 || !strings.Contains(out.stderr, tc.want) {
				t.Errorf("%s: want an error with %q, got %d %s%s", tc.reason, tc.want, out.code, out.stdout, out.stderr)
			}
			if _, err := m.memberClient.CoreV1().Secrets(wellknown.NamespaceSystem).Get(t.Context(), wellknown.AgentName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("%s: a refused registration leaves nothing in the cluster, got %v", tc.reason, err)
			}
			if _, err := fleetAPI(t).ClusterV1alpha1().Clusters().Get(t.Context(), "intruder", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("%s: a refused registration leaves nothing in the fleet, got %v", tc.reason, err)
			}
		})
	}
}
