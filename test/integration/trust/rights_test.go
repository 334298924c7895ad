// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/cmd/fleet/token"
	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

const (
	asJSON  = "application/json"
	asMerge = "application/merge-patch+json"
	asApply = "application/apply-patch+yaml"

	fleetAPI  = "/apis/cluster.fleet.dev/v1alpha1/clusters"
	workAPI   = "/apis/work.fleet.dev/v1alpha1"
	configAPI = "/apis/config.fleet.dev/v1alpha1/resourceinterpretercustomizations"
	leaseAPI  = "/apis/coordination.k8s.io/v1"
	csrAPI    = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	reviewAPI = "/apis/authorization.k8s.io/v1"
)

// try is one request.
type try struct {
	reason, method, path, contentType, body string
	header                                  http.Header
}

func get(reason, path string) try { return try{reason: reason, method: "GET", path: path} }

func post(reason, path, body string) try {
	return try{reason: reason, method: "POST", path: path, contentType: asJSON, body: body}
}

func patch(reason, path, body string) try {
	return try{reason: reason, method: "PATCH", path: path, contentType: asMerge, body: body}
}

func del(reason, path string) try { return try{reason: reason, method: "DELETE", path: path} }

func (a try) with(name, value string) try {
	a.header = http.Header{name: {value}}
	return a
}

// csr is the body of a request for a certificate.
func csr(t *testing.T, i identity.Identity, changes ...template) string {
	t.Helper()
	key, _ := newKey(t)
	request := &x509.CertificateRequest{Subject: i.Subject()}
	object := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: identity.Signer, Usages: identity.Usages(), ExpirationSeconds: new(int32(3600)),
	}}
	object.APIVersion, object.Kind, object.GenerateName = "certificates.k8s.io/v1", "CertificateSigningRequest", "csr-"
	for _, change := range changes {
		change(request, object)
	}
	der := must[[]byte](t)(x509.CreateCertificateRequest(rand.Reader, request, key))
	object.Spec.Request = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	return string(must[[]byte](t)(json.Marshal(object)))
}

func lease(name, more string) string {
	return fmt.Sprintf(`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":%q%s},"spec":{"holderIdentity":"x"}}`, name, more)
}

// TestForbidden tries with an agent's own certificate all that a thief of its key
// would. Each gets 403, and nothing changes.
func TestForbidden(t *testing.T) {
	thief, victim := join(t, "theft"), join(t, "theft-2")
	own, other := clusterv1alpha1.MemberNamespace(thief.Cluster), clusterv1alpha1.MemberNamespace(victim.Cluster)
	must[*corev1.Secret](t)(fleet.Kube.CoreV1().Secrets(own).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{}))
	foreign := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, victim.config, victim.Identity, victim.key))
	mine := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, thief.config, thief.Identity, thief.key))
	as := func(change func(*identity.Identity)) identity.Identity {
		i := thief.Identity
		change(&i)
		return i
	}
	subject := func(change func(*pkix.Name)) template {
		return func(r *x509.CertificateRequest, _ *certificatesv1.CertificateSigningRequest) { change(&r.Subject) }
	}
	spec := func(change func(*certificatesv1.CertificateSigningRequestSpec)) template {
		return func(_ *x509.CertificateRequest, o *certificatesv1.CertificateSigningRequest) { change(&o.Spec) }
	}
	approval := fmt.Sprintf(`{"status":{"conditions":[{"type":"Approved","status":"True","reason":"x","message":"%s"}]}}`, base64.StdEncoding.EncodeToString([]byte("x")))
	before := clusterWith(t, thief.Cluster, "it is there", exists)

	tests := map[string]try{
		"OtherWorks":           get("works hold the Secrets of another member", workAPI+"/namespaces/"+other+"/works"),
		"OtherWorksWatch":      get("watched, too", workAPI+"/namespaces/"+other+"/works?watch=true&timeoutSeconds=1"),
		"OtherWork":            get("one of them, too", workAPI+"/namespaces/"+other+"/works/x"),
		"AllWorks":             get("those of all members", workAPI+"/works"),
		"AllWorksSelected":     get("a selector does not make them its own", workAPI+"/works?fieldSelector=metadata.namespace%3D"+own),
		"AllWorksWatch":        get("those of all members, watched", workAPI+"/works?watch=true&timeoutSeconds=1"),
		"AllWorksOldWatch":     get("by the old path of watches", workAPI+"/watch/works"),
		"OtherWorksOldWatch":   get("by the old path of watches", workAPI+"/watch/namespaces/"+other+"/works"),
		"CaseOfNamespace":      get("names have one case", workAPI+"/namespaces/Fleet-Cluster-theft/works"),
		"EncodedNamespace":     get("an encoded path is a path", workAPI+"/namespaces/fleet%2Dcluster%2Dtheft%2D2/works"),
		"DeleteWork":           del("works are what the fleet decided", workAPI+"/namespaces/"+own+"/works/x"),
		"DeleteWorks":          del("all of them", workAPI+"/namespaces/"+own+"/works"),
		"CreateWork":           post("works are what the fleet decided", workAPI+"/namespaces/"+own+"/works", `{}`),
		"OtherWorkStatus":      patch("a report for another member", workAPI+"/namespaces/"+other+"/works/x/status", `{}`),
		"Customization":        post("how others read custom resources", configAPI, `{"apiVersion":"config.fleet.dev/v1alpha1","kind":"ResourceInterpreterCustomization","metadata":{"name":"x"}}`),
		"OtherFeedback":        post("a report for another member", workAPI+"/namespaces/"+other+"/workfeedbacks", `{"apiVersion":"work.fleet.dev/v1alpha1","kind":"WorkFeedback","spec":{"items":[]}}`),
		"Bindings":             get("where else things run", workAPI+"/resourcebindings"),
		"BindingStatus":        patch("what the fleet shows", workAPI+"/namespaces/default/resourcebindings/x/status", `{}`),
		"OwnSecrets":           get("credentials lie in its namespace", "/api/v1/namespaces/"+own+"/secrets"),
		"OwnSecret":            get("credentials lie in its namespace", "/api/v1/namespaces/"+own+"/secrets/s"),
		"Secrets":              get("the fleet's Secrets", "/api/v1/secrets"),
		"SystemSecrets":        get("bootstrap tokens", "/api/v1/namespaces/kube-system/secrets"),
		"ConfigMaps":           get("templates", "/api/v1/configmaps"),
		"ClusterInfo":          get("it needs no discovery any more", "/api/v1/namespaces/kube-public/configmaps/cluster-info"),
		"Deployments":          get("templates", "/apis/apps/v1/deployments"),
		"CreateDeployment":     post("templates run elsewhere", "/apis/apps/v1/namespaces/default/deployments", `{}`),
		"Policies":             get("policies", "/apis/policy.fleet.dev/v1alpha1/clusterpropagationpolicies"),
		"CustomResources":      get("kinds", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
		"CreateKind":           post("kinds", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", `{}`),
		"APIServices":          get("where requests are sent", "/apis/apiregistration.k8s.io/v1/apiservices"),
		"PutAPIService":        patch("where requests are sent", "/apis/apiregistration.k8s.io/v1/apiservices/v1.", `{"spec":{"service":{"name":"x","namespace":"default"}}}`),
		"Webhooks":             post("what sees all objects", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", `{}`),
		"Roles":                get("who may what", "/apis/rbac.authorization.k8s.io/v1/clusterroles"),
		"BindRole":             post("more rights", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{}`),
		"Namespaces":           get("who else is there", "/api/v1/namespaces"),
		"OwnNamespace":         get("it needs one namespace, to know the fleet", "/api/v1/namespaces/"+own),
		"FinalizeNamespace":    {reason: "a namespace that never goes, or at once", method: "PUT", path: "/api/v1/namespaces/kube-system/finalize", contentType: asJSON, body: `{}`},
		"Events":               post("what people believe", "/api/v1/namespaces/default/events", `{}`),
		"Clusters":             get("the other members", fleetAPI),
		"ClustersWatch":        get("the other members", fleetAPI+"?watch=true&timeoutSeconds=1"),
		"ClustersByLabel":      get("a label is no name", fleetAPI+"?labelSelector=x%3Dy"),
		"ClustersByOtherField": get("another field is no name", fleetAPI+"?fieldSelector=spec.syncMode%3DPull"),
		"ClustersByNotName":    get("all but one are the others", fleetAPI+"?fieldSelector=metadata.name%21%3D"+thief.Cluster),
		"ClustersByOtherName":  get("another name is another member", fleetAPI+"?fieldSelector=metadata.name%3D"+victim.Cluster),
		"OtherCluster":         get("another member", fleetAPI+"/"+victim.Cluster),
		"OtherClusterSelected": get("a selector does not make it its own", fleetAPI+"/"+victim.Cluster+"?fieldSelector=metadata.name%3D"+thief.Cluster),
		"ClusterOldWatch":      get("by the old path of watches", "/apis/cluster.fleet.dev/v1alpha1/watch/clusters"),
		"CreateCluster":        post("members", fleetAPI, `{}`),
		"DeleteCluster":        del("leaving is the administrator's decision", fleetAPI+"/"+thief.Cluster),
		"DeleteClusters":       del("all members", fleetAPI+"?fieldSelector=metadata.name%3D"+thief.Cluster),
		"Spec":                 patch("where the fleet sends what", fleetAPI+"/"+thief.Cluster, `{"spec":{"region":"eu"}}`),
		"Taints":               patch("what runs there", fleetAPI+"/"+thief.Cluster, `{"spec":{"taints":[]}}`),
		"Labels":               patch("what runs there", fleetAPI+"/"+thief.Cluster, `{"metadata":{"labels":{"a":"b"}}}`),
		"Finalizers":           patch("a Cluster that never goes", fleetAPI+"/"+thief.Cluster+"/finalizers", `{"metadata":{"finalizers":["a.example.com/b"]}}`),
		"Apply":                {reason: "server-side apply is a write", method: "PATCH", path: fleetAPI + "/" + thief.Cluster + "?fieldManager=x", contentType: asApply, body: "{}"},
		"AcceptedCondition":    patch("what controllers say", fleetAPI+"/"+thief.Cluster+"/status", `{"status":{"conditions":[]}}`),
		"OtherStatus":          patch("another member's health", fleetAPI+"/"+victim.Cluster+"/status", `{}`),
		"OtherTunnel":          post("traffic for another member", fleetAPI+"/"+victim.Cluster+"/tunnel", ``),
		"Proxy":                get("the way into members", fleetAPI+"/"+thief.Cluster+"/proxy/api/v1/secrets"),
		"OtherProxy":           get("the way into members", fleetAPI+"/"+victim.Cluster+"/proxy/api/v1/secrets"),
		"OtherLease":           post("another member's heartbeat", leaseAPI+"/namespaces/"+other+"/leases", lease(victim.Cluster, "")),
		"PutOtherLease":        patch("another member's heartbeat", leaseAPI+"/namespaces/"+other+"/leases/"+victim.Cluster, `{}`),
		"LeaseOfOtherName":     post("a lease that elects", leaseAPI+"/namespaces/"+own+"/leases", lease("x", "")),
		"GeneratedLease":       post("a lease of any name", leaseAPI+"/namespaces/"+own+"/leases", `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"generateName":"theft"}}`),
		"LeaderLease":          patch("who leads", leaseAPI+"/namespaces/kube-system/leases/fleet-controller-manager", `{}`),
		"Leases":               get("who leads", leaseAPI+"/namespaces/"+own+"/leases"),
		"DeleteLease":          del("the history of its heartbeat", leaseAPI+"/namespaces/"+own+"/leases/"+thief.Cluster),
		"LeaseFinalizer":       post("a namespace that never goes", leaseAPI+"/namespaces/"+own+"/leases", lease(thief.Cluster, `,"finalizers":["a.example.com/b"]`)),
		"LeaseOwner":           post("a Cluster that waits for it", leaseAPI+"/namespaces/"+own+"/leases", lease(thief.Cluster, `,"ownerReferences":[{"apiVersion":"v1","kind":"Namespace","name":"default","uid":"1","blockOwnerDeletion":true}]`)),
		"CSROtherName":         post("another member's certificate", csrAPI, csr(t, as(func(i *identity.Identity) { i.Cluster = victim.Cluster }))),
		"CSROtherMember":       post("another member's certificate", csrAPI, csr(t, victim.Identity)),
		"CSROtherID":           post("another cluster's certificate", csrAPI, csr(t, as(func(i *identity.Identity) { i.ID = victim.ID }))),
		"CSRMasters":           post("everything", csrAPI, csr(t, thief.Identity, subject(func(n *pkix.Name) { n.Organization = []string{"system:masters"} }))),
		"CSRMoreGroups":        post("a group more", csrAPI, csr(t, thief.Identity, subject(func(n *pkix.Name) { n.Organization = append(n.Organization, "dev") }))),
		"CSRComponent":         post("the syncer's certificate", csrAPI, csr(t, thief.Identity, subject(func(n *pkix.Name) { n.CommonName, n.Organization = wellknown.UserSyncer, nil }))),
		"CSRNode": post("a kubelet's certificate", csrAPI, csr(t, thief.Identity, spec(func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.SignerName = certificatesv1.KubeAPIServerClientKubeletSignerName
		}))),
		"CSRServer": post("a server's certificate", csrAPI, csr(t, thief.Identity, spec(func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.Usages = []certificatesv1.KeyUsage{certificatesv1.UsageServerAuth, certificatesv1.UsageDigitalSignature}
		}))),
		"CSRYear": post("a year", csrAPI, csr(t, thief.Identity, spec(func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.ExpirationSeconds = new(int32(365 * 86400))
		}))),
		"CSRForever": post("the signer's longest", csrAPI, csr(t, thief.Identity, spec(func(s *certificatesv1.CertificateSigningRequestSpec) { s.ExpirationSeconds = nil }))),
		"CSRNames": post("a server's name", csrAPI, csr(t, thief.Identity, func(r *x509.CertificateRequest, _ *certificatesv1.CertificateSigningRequest) {
			r.DNSNames = []string{"kubernetes"}
		})),
		"Approve":               {reason: "its own certificate", method: "PATCH", path: csrAPI + "/" + mine.Name + "/approval", contentType: asMerge, body: approval},
		"Sign":                  patch("its own certificate", csrAPI+"/"+mine.Name+"/status", `{"status":{"certificate":"eA=="}}`),
		"OtherCSR":              get("another's request", csrAPI+"/"+foreign.Name),
		"OtherCSRSelected":      get("another's request", csrAPI+"?fieldSelector=metadata.name%3D"+foreign.Name),
		"CSRs":                  get("all requests", csrAPI),
		"CSRsWatch":             get("all requests", csrAPI+"?watch=true&timeoutSeconds=1"),
		"CSRsBySigner":          get("a signer is no name", csrAPI+"?fieldSelector=spec.signerName%3Dkubernetes.io%2Fkube-apiserver-client"),
		"DeleteCSR":             del("the traces of it", csrAPI+"/"+mine.Name),
		"AccountToken":          post("a token that outlives it", "/api/v1/namespaces/default/serviceaccounts/default/token", `{}`),
		"CreateAccount":         post("an account of its own", "/api/v1/namespaces/"+own+"/serviceaccounts", `{}`),
		"TokenReview":           post("whether a token is good", "/apis/authentication.k8s.io/v1/tokenreviews", `{}`),
		"AccessReview":          post("who may what", reviewAPI+"/subjectaccessreviews", `{}`),
		"RulesReview":           post("what roles give it", reviewAPI+"/selfsubjectrulesreviews", `{}`),
		"SelfAccessReview":      post("what it may, tried out", reviewAPI+"/selfsubjectaccessreviews", `{}`),
		"ImpersonateAdmin":      get("as the administrator", "/api/v1/secrets").with("Impersonate-User", "fleet-admin"),
		"ImpersonateSelf":       get("as itself", fleetAPI+"/"+thief.Cluster).with("Impersonate-User", thief.User()),
		"ImpersonateOther":      get("as another member", workAPI+"/namespaces/"+other+"/works").with("Impersonate-User", victim.User()),
		"ImpersonateSyncer":     get("as the syncer", workAPI+"/works").with("Impersonate-User", wellknown.UserSyncer),
		"FrontProxy":            get("as the aggregator would say it", "/api/v1/secrets").with("X-Remote-User", "fleet-admin"),
		"FrontProxyGroup":       get("as the aggregator would say it", "/api/v1/secrets").with("X-Remote-Group", "system:masters"),
		"Metrics":               get("how the fleet is", "/metrics"),
		"Debug":                 get("what is in its memory", "/debug/pprof/heap"),
		"Logs":                  get("what it did", "/logs/"),
		"Configz":               get("how it runs", "/configz"),
		"OpenAPI":               get("all kinds there are", "/openapi/v2"),
		"ReadyzDetail":          get("how its parts are", "/readyz/etcd"),
		"NodeProxy":             get("the way into members", "/api/v1/nodes/x/proxy/"),
		"ServiceProxy":          get("the way into members", "/api/v1/namespaces/default/services/kubernetes/proxy/"),
		"PodExec":               post("the way into members", "/api/v1/namespaces/default/pods/x/exec?command=sh", ``),
		"Pods":                  get("what runs in other members", "/api/v1/pods"),
		"DotsInPath":            get("a path is what it means", "/apis/work.fleet.dev/v1alpha1/namespaces/"+own+"/../"+other+"/works"),
		"DoubleSlash":           get("a path is what it means", "/apis//work.fleet.dev/v1alpha1/works"),
		"DeleteFeedbackByQuery": del("dry run or not", workAPI+"/namespaces/"+own+"/workfeedbacks/x?dryRun=All"),
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			code, body := do(t, thief.config, tc)
			if code != http.StatusForbidden {
				t.Errorf("%s: %s %s: want 403, got %d %.300s", tc.reason, tc.method, tc.path, code, body)
			}
		})
	}
	after := clusterWith(t, thief.Cluster, "it is still there", exists)
	if before.Generation != after.Generation || len(after.Finalizers) != len(before.Finalizers) || len(after.Labels) != len(before.Labels) {
		t.Errorf("nothing changed: want %v %v, got %v %v", before.ObjectMeta, before.Spec, after.ObjectMeta, after.Spec)
	}
	t.Run("StatusWithMore", func(t *testing.T) {
		// Refusing it would refuse every update by an honest client too.
		code, body := do(t, thief.config, patch("its status, with more", fleetAPI+"/"+thief.Cluster+"/status",
			`{"metadata":{"labels":{"a":"b"},"annotations":{"`+wellknown.AnnotationRegistrationKey+`":"x"},"finalizers":["a.example.com/b"],"ownerReferences":[{"apiVersion":"v1","kind":"Namespace","name":"default","uid":"1"}]},`+
				`"spec":{"region":"eu","taints":[{"key":"a","effect":"NoSchedule"}],"accepted":false},"status":{"kubernetesVersion":"v1.0.0"}}`))
		now := clusterWith(t, thief.Cluster, "it is still there", exists)
		if code != http.StatusOK || now.Status.KubernetesVersion != "v1.0.0" {
			t.Fatalf("a status is written: got %d %s", code, body)
		}
		if now.Spec.Region != "" || len(now.Spec.Taints) != len(after.Spec.Taints) || !now.Spec.Accepted || now.Labels["a"] != "" || len(now.OwnerReferences) > 0 ||
			now.Annotations[wellknown.AnnotationRegistrationKey] != thief.Registration || len(now.Finalizers) != len(after.Finalizers) {
			t.Errorf("and nothing else: got %v %v", now.ObjectMeta, now.Spec)
		}
	})
}

// TestAllowed is all that an agent needs.
func TestAllowed(t *testing.T) {
	t.Parallel()
	a := join(t, "honest")
	own := clusterv1alpha1.MemberNamespace(a.Cluster)
	request := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, a.config, a.Identity, a.key))
	tests := []struct {
		try
		code int
	}{
		{get("its works", workAPI+"/namespaces/"+own+"/works"), 200},
		{get("its works, streamed", workAPI+"/namespaces/"+own+"/works?watch=true&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"), 200},
		{get("one of them", workAPI+"/namespaces/"+own+"/works/x"), 404},
		{patch("its report on one", workAPI+"/namespaces/"+own+"/works/x/status", `{}`), 404},
		{post("its reports", workAPI+"/namespaces/"+own+"/workfeedbacks", `{"apiVersion":"work.fleet.dev/v1alpha1","kind":"WorkFeedback","spec":{"items":[{"name":"x","templateUID":"1"}]}}`), 201},
		{get("its heartbeat", leaseAPI+"/namespaces/"+own+"/leases/"+a.Cluster), 404},
		{post("its heartbeat", leaseAPI+"/namespaces/"+own+"/leases", lease(a.Cluster, "")), 201},
		{patch("its heartbeat", leaseAPI+"/namespaces/"+own+"/leases/"+a.Cluster, `{"spec":{"holderIdentity":"y"}}`), 200},
		{get("itself", fleetAPI+"/"+a.Cluster), 200},
		{get("itself, in a list", fleetAPI+"?fieldSelector=metadata.name%3D"+a.Cluster), 200},
		{get("itself, watched", fleetAPI+"?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3D"+a.Cluster), 200},
		{patch("its status", fleetAPI+"/"+a.Cluster+"/status", `{"status":{"kubernetesVersion":"v1.36.3"}}`), 200},
		{get("its request", csrAPI+"/"+request.Name), 200},
		{get("its request, in a list", csrAPI+"?fieldSelector=metadata.name%3D"+request.Name), 200},
		{get("its request, watched", csrAPI+"?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3D"+request.Name), 200},
		{post("its next certificate", csrAPI, csr(t, a.Identity)), 201},
		{get("how custom resources are read", configAPI), 200},
		{get("how custom resources are read, watched", configAPI+"?watch=true&timeoutSeconds=1"), 200},
		{get("the fleet's id", "/api/v1/namespaces/kube-system"), 200},
		{post("who it is", "/apis/authentication.k8s.io/v1/selfsubjectreviews", `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`), 201},
		{get("whether the fleet is there", "/readyz"), 200},
		{get("whether the fleet lives", "/livez"), 200},
		{get("the fleet's version", "/version"), 200},
		{get("what is served", "/api"), 200},
		{get("what is served", "/apis"), 200},
		{get("what is served", "/api/v1"), 200},
		{get("what is served", "/apis/work.fleet.dev/v1alpha1"), 200},
	}
	for _, tc := range tests {
		if code, body := do(t, a.config, tc.try); code != tc.code {
			t.Errorf("%s: %s %s: want %d, got %d %.300s", tc.reason, tc.method, tc.path, tc.code, code, body)
		}
	}
}

// TestBootstrapTokenRights is what a person can do who has a token.
func TestBootstrapTokenRights(t *testing.T) {
	t.Parallel()
	key, fingerprint := newKey(t)
	as, another := withToken(t, token.Options{TTL: time.Hour}), withToken(t, token.Options{TTL: time.Hour})
	i := identity.Identity{Cluster: "tokens", ID: "id-of-tokens", Registration: fingerprint}
	request := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, as, i, key))
	foreign := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, another, i, key))
	tests := []struct {
		try
		code int
	}{
		{get("its request", csrAPI+"/"+request.Name), 200},
		{get("its request, watched", csrAPI+"?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3D"+request.Name), 200},
		{get("another's request", csrAPI+"/"+foreign.Name), 403},
		{get("all requests", csrAPI), 403},
		{post("a registration of a key it may not hold", csrAPI, csr(t, i)), 403},
		{post("the administrator's certificate", csrAPI, csr(t, i, func(r *x509.CertificateRequest, _ *certificatesv1.CertificateSigningRequest) {
			r.Subject = pkix.Name{CommonName: "fleet-admin", Organization: []string{"system:masters"}}
		})), 403},
		{post("the syncer's certificate", csrAPI, csr(t, i, func(r *x509.CertificateRequest, _ *certificatesv1.CertificateSigningRequest) {
			r.Subject = pkix.Name{CommonName: wellknown.UserSyncer}
		})), 403},
		{post("a kubelet's certificate", csrAPI, csr(t, i, func(_ *x509.CertificateRequest, o *certificatesv1.CertificateSigningRequest) {
			o.Spec.SignerName = certificatesv1.KubeAPIServerClientKubeletSignerName
		})), 403},
		{patch("its approval", csrAPI+"/"+request.Name+"/approval", `{}`), 403},
		{get("members", fleetAPI), 403},
		{get("the member it asked to be", fleetAPI+"/tokens"), 403},
		{post("a member", fleetAPI, `{}`), 403},
		{patch("acceptance", fleetAPI+"/tokens", `{"spec":{"accepted":true}}`), 403},
		{get("works", workAPI+"/namespaces/fleet-cluster-tokens/works"), 403},
		{get("Secrets", "/api/v1/namespaces/kube-system/secrets"), 403},
		{post("a tunnel", fleetAPI+"/tokens/tunnel", ``), 403},
		{get("as an agent", workAPI+"/namespaces/fleet-cluster-tokens/works").with("Impersonate-User", i.User()), 403},
		{get("as a group of agents", fleetAPI).with("Impersonate-Group", wellknown.GroupClusters), 400},
		{get("metrics", "/metrics"), 403},
	}
	for _, tc := range tests {
		if code, body := do(t, as, tc.try); code != tc.code {
			t.Errorf("%s: %s %s: want %d, got %d %.300s", tc.reason, tc.method, tc.path, tc.code, code, body)
		}
	}
	if err := fleet.Kube.CoreV1().Secrets("kube-system").Delete(t.Context(), "bootstrap-token-"+strings.Split(as.BearerToken, ".")[0], metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a deleted token is good for nothing", func(context.Context) (bool, error) {
		code, _ := do(t, as, get("its request", csrAPI+"/"+request.Name))
		return code == http.StatusUnauthorized, nil
	})
}

// TestAcceptVerb shows that writing a Cluster does not suffice to trust it.
func TestAcceptVerb(t *testing.T) {
	key, fingerprint := newKey(t)
	i := identity.Identity{Cluster: "verb", ID: "id-of-verb", Registration: fingerprint}
	must[*certificatesv1.CertificateSigningRequest](t)(ask(t, withToken(t, token.Options{TTL: time.Hour}), i, key))
	clusterWith(t, "verb", "it waits", exists)
	grant := func(name string, verbs []string, only ...string) {
		meta := metav1.ObjectMeta{Name: name}
		must[*rbacv1.ClusterRole](t)(fleet.Kube.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{clusterv1alpha1.GroupName}, Resources: []string{"clusters"}, Verbs: verbs, ResourceNames: only},
		}}, metav1.CreateOptions{}))
		must[*rbacv1.ClusterRoleBinding](t)(fleet.Kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "operator"}},
		}, metav1.CreateOptions{}))
	}
	grant("verb-writer", []string{"get", "create", "patch", "update"})
	config := rest.CopyConfig(fleet.Config)
	config.Impersonate.UserName = "operator"
	operator := fleetclient.NewForConfigOrDie(config).ClusterV1alpha1().Clusters()
	change := func(body string) error {
		_, err := operator.Patch(t.Context(), "verb", types.MergePatchType, []byte(body), metav1.PatchOptions{})
		return err
	}
	eventually(t, "the operator writes", func(context.Context) (bool, error) {
		err := change(`{"spec":{"region":"eu"}}`)
		return err == nil, err
	})
	accepts, rekeys := `{"spec":{"accepted":true}}`, `{"metadata":{"annotations":{"`+wellknown.AnnotationRegistrationKey+`":"sha256:x"}}}`
	for name, body := range map[string]string{"accept": accepts, "change the key": rekeys} {
		if err := change(body); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `takes the verb "accept"`) {
			t.Errorf("but does not %s: want 403 that names the verb, got %v", name, err)
		}
	}
	_, err := operator.Create(t.Context(), &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "verb-2"}, Spec: clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull, Accepted: true}}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("nor creates one that is accepted: want 403, got %v", err)
	}
	grant("verb-acceptor", []string{"accept"}, "verb")
	eventually(t, "with the verb on that Cluster the operator accepts", func(context.Context) (bool, error) {
		err := change(accepts)
		return err == nil, err
	})
	if err := change(`{"spec":{"accepted":false}}`); err != nil {
		t.Errorf("and takes it back: %v", err)
	}
}
