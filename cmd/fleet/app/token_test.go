// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	clocktesting "k8s.io/utils/clock/testing"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// joining is a fleet with tokens and with clusters that ask to join. It remembers
// what was written.
type joining struct {
	tokens   []corev1.Secret
	info     map[string]string
	cluster  *clusterv1alpha1.Cluster
	requests []certificatesv1.CertificateSigningRequest
	// signs says that requests are signed as soon as the Cluster is accepted.
	signs bool
}

func (j *joining) serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, body any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(body); err != nil {
			t.Error(err)
		}
	}
	const secrets, clusters = "/api/v1/namespaces/kube-system/secrets", "/apis/cluster.fleet.dev/v1alpha1/clusters/paris"
	mux.HandleFunc("GET "+secrets, func(w http.ResponseWriter, _ *http.Request) { answer(w, corev1.SecretList{Items: j.tokens}) })
	mux.HandleFunc("POST "+secrets, func(w http.ResponseWriter, _ *http.Request) { answer(w, corev1.Secret{}) })
	mux.HandleFunc("GET "+secrets+"/{name}", func(w http.ResponseWriter, r *http.Request) {
		for _, secret := range j.tokens {
			if secret.Name == r.PathValue("name") {
				answer(w, secret)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
	})
	mux.HandleFunc("DELETE "+secrets+"/{name}", func(w http.ResponseWriter, _ *http.Request) { answer(w, metav1.Status{Status: metav1.StatusSuccess}) })
	mux.HandleFunc("GET /api/v1/namespaces/kube-public/configmaps/cluster-info", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, corev1.ConfigMap{Data: j.info})
	})
	mux.HandleFunc("GET "+clusters, func(w http.ResponseWriter, _ *http.Request) {
		if j.cluster == nil {
			w.WriteHeader(http.StatusNotFound)
			answer(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
			return
		}
		answer(w, j.cluster)
	})
	mux.HandleFunc("PUT "+clusters, func(w http.ResponseWriter, r *http.Request) {
		written := &clusterv1alpha1.Cluster{}
		if err := json.NewDecoder(r.Body).Decode(written); err != nil {
			t.Error(err)
		}
		j.cluster = written
		answer(w, written)
	})
	mux.HandleFunc("GET /apis/certificates.k8s.io/v1/certificatesigningrequests", func(w http.ResponseWriter, _ *http.Request) {
		list := certificatesv1.CertificateSigningRequestList{Items: slices.Clone(j.requests)}
		for i := range list.Items {
			if j.signs && j.cluster.Spec.Accepted {
				list.Items[i].Status.Certificate = []byte("signed")
			}
		}
		answer(w, list)
	})
	return serve(t, mux)
}

func secretOf(id, description string, expires time.Time, groups ...string) corev1.Secret {
	secret := corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-" + id}, Type: "bootstrap.kubernetes.io/token",
		Data: map[string][]byte{
			"token-id": []byte(id), "token-secret": []byte("0123456789abcdef"), "description": []byte(description),
			"auth-extra-groups":              []byte(strings.Join(append(groups, wellknown.GroupAgentBootstrappers), ",")),
			"usage-bootstrap-authentication": []byte("true"), "usage-bootstrap-signing": []byte("true"),
		},
	}
	if !expires.IsZero() {
		secret.Data["expiration"] = []byte(expires.Format(time.RFC3339))
	}
	return secret
}

func TestTokenCreate(t *testing.T) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("fleet", nil, nil)
	if err != nil || len(key) == 0 {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[""] = &clientcmdapi.Cluster{Server: "https://192.0.2.1:6443", CertificateAuthorityData: certificate}
	info, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := (&joining{info: map[string]string{"kubeconfig": string(info)}}).serve(t)
	token, pin := `[a-z0-9]{6}\.[a-z0-9]{16}`, `( --ca-cert-hash sha256:[0-9a-f]{64})+`
	for name, tc := range map[string]struct {
		reason  string
		program string
		args    []string
		want    string
		errOut  string
	}{
		"Token":   {reason: "A script wants the token alone.", args: []string{"--ttl", "1h"}, want: token},
		"Command": {reason: "The address is the one others reach.", args: []string{"--print-join-command"}, want: "fleet register NAME --server https://192.0.2.1:6443 --token " + token + pin},
		"Server":  {reason: "The administrator knows better.", args: []string{"--print-join-command", "--fleet-server", "https://fleet.example.com"}, want: "fleet register NAME --server https://fleet.example.com --token " + token + pin},
		"Kubectl": {reason: "It is called as this program is.", program: "kubectl-fleet", args: []string{"--print-join-command"}, want: "kubectl fleet register NAME .*"},
		"TTL":     {reason: "A life that is over before it begins is a mistake.", args: []string{"--ttl", "-1h"}, errOut: "error: --ttl must not be negative, got -1h0m0s\n"},
	} {
		t.Run(name, func(t *testing.T) {
			program := tc.program
			if program == "" {
				program = "fleet"
			}
			out, errOut := runCommand(t, program, append([]string{"token", "create", "--kubeconfig", kubeconfig}, tc.args...)...)
			if errOut != tc.errOut {
				t.Errorf("\n%s\nfleet token create: want error %q, got %q", tc.reason, tc.errOut, errOut)
			}
			if tc.want != "" && !regexp.MustCompile("^"+tc.want+"\n$").MatchString(out) {
				t.Errorf("\n%s\nfleet token create: want %s, got %s", tc.reason, tc.want, out)
			}
		})
	}
}

func TestTokenList(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	kubeconfig := (&joining{tokens: []corev1.Secret{
		secretOf("bbbbbb", "edge sites", now.Add(90*time.Minute), wellknown.GroupAgentAutoAccept),
		secretOf("aaaaaa", "", time.Time{}),
		secretOf("cccccc", "old", now.Add(-time.Minute)),
	}}).serve(t)
	for name, tc := range map[string]struct {
		reason, output, golden string
	}{
		"Table": {"What an administrator wants to know.", "", "tokens.txt"},
		"YAML":  {"All there is.", "yaml", "tokens.yaml"},
		"JSON":  {"All there is.", "json", "tokens.json"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			o := &tokenListOptions{flags: newKubeconfigFlags(), output: tc.output, clock: clocktesting.NewFakePassiveClock(now), IOStreams: genericiooptions.IOStreams{Out: &out, ErrOut: &out}}
			o.flags.rules.ExplicitPath = kubeconfig
			if err := o.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.reason, tc.golden, out.String())
		})
	}
	if _, errOut := runCommand(t, "fleet", "token", "list", "--kubeconfig", (&joining{}).serve(t)); errOut != "No tokens found.\n" {
		t.Errorf("Nothing is said to be nothing, got %q", errOut)
	}
	if _, errOut := runCommand(t, "fleet", "token", "list", "-o", "wide"); !strings.Contains(errOut, `unknown output format "wide", expected json or yaml`) {
		t.Errorf("A format that does not exist is answered with those that do, got %q", errOut)
	}
	out, errOut := runCommand(t, "fleet", "token", "delete", "aaaaaa", "bbbbbb.0123456789abcdef", "--kubeconfig", kubeconfig)
	if want := "token \"aaaaaa\" deleted\ntoken \"bbbbbb\" deleted\n"; out != want || errOut != "" {
		t.Errorf("Tokens are deleted by id or in full: want %q, got %q, %q", want, out, errOut)
	}
	out, _ = runCommand(t, "fleet", "__complete", "token", "delete", "--kubeconfig", kubeconfig, "")
	if !strings.Contains(out, "bbbbbb\tedge sites\n") {
		t.Errorf("Ids complete with what they are for, got %q", out)
	}
}

// request is a request by a token for a key that the test can name.
func request(t *testing.T, tokenID string) (_ certificatesv1.CertificateSigningRequest, fingerprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if fingerprint, err = identity.Fingerprint(key.Public()); err != nil {
		t.Fatal(err)
	}
	i := identity.Identity{Cluster: "paris", ID: "1", Registration: fingerprint}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: i.Subject()}, key)
	if err != nil {
		t.Fatal(err)
	}
	return certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
		Username: "system:bootstrap:" + tokenID, SignerName: identity.Signer, Usages: identity.Usages(), ExpirationSeconds: new(int32(86400)),
		Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
	}}, fingerprint
}

func TestAccept(t *testing.T) {
	first, a := request(t, "aaaaaa")
	second, b := request(t, "bbbbbb")
	cluster := func(key string, accepted bool) *clusterv1alpha1.Cluster {
		return &clusterv1alpha1.Cluster{
			ObjectMeta: metav1.ObjectMeta{Name: "paris", Annotations: map[string]string{wellknown.AnnotationRegistrationKey: key}},
			Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull, ID: "1", Accepted: accepted},
		}
	}
	only, both := []certificatesv1.CertificateSigningRequest{first}, []certificatesv1.CertificateSigningRequest{first, second}
	for name, tc := range map[string]struct {
		reason   string
		fleet    *joining
		args     []string
		out      string
		errOut   string
		accepted string // the key that is written, empty for no write
	}{
		"One": {
			reason: "Who is accepted is shown.", fleet: &joining{cluster: cluster(a, false), requests: only},
			out: "cluster \"paris\" accepted: id 1, key " + a + ", requested by system:bootstrap:aaaaaa\n", accepted: a,
		},
		"Wait": {
			reason: "Its certificate is waited for.", fleet: &joining{cluster: cluster(a, false), requests: only, signs: true}, args: []string{"--wait"},
			out: "cluster \"paris\" accepted: id 1, key " + a + ", requested by system:bootstrap:aaaaaa\ncertificate of cluster \"paris\" issued\n", accepted: a,
		},
		"Timeout": {
			reason: "But not for ever.", fleet: &joining{cluster: cluster(a, false), requests: only}, args: []string{"--wait", "--timeout", "10ms"},
			out:    "cluster \"paris\" accepted: id 1, key " + a + ", requested by system:bootstrap:aaaaaa\n",
			errOut: "error: the certificate of cluster \"paris\" was not issued within 10ms: its agent may not be running\n", accepted: a,
		},
		"Two": {
			reason: "Where several ask nothing is guessed.", fleet: &joining{cluster: cluster(a, false), requests: both},
			errOut: "error: 2 ask to be cluster \"paris\"; say with --key which is yours\n  id 1, key " + a + ", requested by system:bootstrap:aaaaaa\n  id 1, key " + b + ", requested by system:bootstrap:bbbbbb\n",
		},
		"Key": {
			reason: "One of them is named.", fleet: &joining{cluster: cluster(a, false), requests: both}, args: []string{"--key", b},
			out: "cluster \"paris\" accepted: id 1, key " + b + ", requested by system:bootstrap:bbbbbb\n", accepted: b,
		},
		"Already": {
			reason: "Accepting twice is no error.", fleet: &joining{cluster: cluster(a, true)},
			out: "cluster \"paris\" is accepted already: id 1, key " + a + "\n",
		},
		"BadKey":  {reason: "A typing mistake is found before anybody is asked.", fleet: &joining{}, args: []string{"--key", "1"}, errOut: "error: --key: fingerprint \"1\": expected sha256: and 64 hexadecimal digits\n"},
		"Unknown": {reason: "Who has not asked cannot be accepted.", fleet: &joining{}, errOut: "error: cluster \"paris\" is not in the fleet, and its agent has not asked to join it\n"},
	} {
		t.Run(name, func(t *testing.T) {
			before := tc.fleet.cluster
			out, errOut := runCommand(t, "fleet", append([]string{"accept", "paris", "--kubeconfig", tc.fleet.serve(t)}, tc.args...)...)
			if out != tc.out || errOut != tc.errOut {
				t.Errorf("\n%s\nfleet accept paris: want\n%s%sgot\n%s%s", tc.reason, tc.out, tc.errOut, out, errOut)
			}
			written := tc.fleet.cluster != before
			if written != (tc.accepted != "") {
				t.Errorf("\n%s\nwritten: want %t, got %t", tc.reason, tc.accepted != "", written)
			}
			if written && (!tc.fleet.cluster.Spec.Accepted || tc.fleet.cluster.Annotations[wellknown.AnnotationRegistrationKey] != tc.accepted) {
				t.Errorf("\n%s\nwant key %s accepted, got %v, %v", tc.reason, tc.accepted, tc.fleet.cluster.Spec, tc.fleet.cluster.Annotations)
			}
		})
	}
}
