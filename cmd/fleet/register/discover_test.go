// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/cluster-bootstrap/token/jws"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pubkeypin"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const testToken = "abcdef.0123456789abcdef"

// fakeFleet is a server that says how to join it.
type fakeFleet struct {
	*httptest.Server
	ca *x509.Certificate

	mu sync.Mutex
	// data of cluster-info; nil is a server without one.
	data map[string]string
	// groups of the token; nil refuses it.
	groups []string
	// asked counts requests for cluster-info, tokens has what was sent to log in.
	asked  int
	tokens []string
}

// newFakeFleet has a CA of its own, signed cluster-info with testToken, and takes
// that token.
func newFakeFleet(t *testing.T) *fakeFleet {
	t.Helper()
	ca, key, err := pkiutil.NewCertificateAuthority(&pkiutil.CertConfig{Config: certutil.Config{CommonName: "fleet"}})
	if err != nil {
		t.Fatal(err)
	}
	serving, servingKey, err := pkiutil.NewCertAndKey(ca, key, &pkiutil.CertConfig{Config: certutil.Config{
		CommonName: "server", AltNames: certutil.AltNames{DNSNames: []string{"localhost"}}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeFleet{ca: ca, groups: []string{wellknown.GroupAgentBootstrappers}}
	f.Server = httptest.NewUnstartedServer(f)
	f.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{serving.Raw}, PrivateKey: servingKey}}}
	f.Config.ErrorLog = nil
	f.StartTLS()
	t.Cleanup(f.Close)
	f.publish(t, ca)
	return f
}

// url is an address that is in the certificate.
func (f *fakeFleet) url() string { return strings.Replace(f.URL, "127.0.0.1", "localhost", 1) }

// publish signs cluster-info with CAs.
func (f *fakeFleet) publish(t *testing.T, authorities ...*x509.Certificate) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters[""] = &clientcmdapi.Cluster{Server: f.url(), CertificateAuthorityData: encode(authorities)}
	kubeconfig, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	id, secret, _ := strings.Cut(testToken, ".")
	signature, err := jws.ComputeDetachedSignature(string(kubeconfig), id, secret)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data = map[string]string{"kubeconfig": string(kubeconfig), "jws-kubeconfig-" + id: signature}
}

func (f *fakeFleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var answer any
	code := http.StatusOK
	refuse := func(status int, reason metav1.StatusReason) {
		code = status
		answer = metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(status), Reason: reason, Message: "no"}
	}
	switch r.URL.Path {
	case "/api/v1/namespaces/kube-public/configmaps/cluster-info":
		f.asked++
		if f.data == nil {
			refuse(http.StatusForbidden, metav1.StatusReasonForbidden)
			break
		}
		answer = corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, Data: maps.Clone(f.data)}
	case "/apis/authentication.k8s.io/v1/selfsubjectreviews":
		f.tokens = append(f.tokens, r.Header.Get("Authorization"))
		if f.groups == nil {
			refuse(http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
			break
		}
		answer = authenticationv1.SelfSubjectReview{
			TypeMeta: metav1.TypeMeta{Kind: "SelfSubjectReview", APIVersion: "authentication.k8s.io/v1"},
			Status:   authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: "u", Groups: f.groups}},
		}
	default:
		refuse(http.StatusNotFound, metav1.StatusReasonNotFound)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(http.ErrAbortHandler) // the client sees that the answer broke off
	}
}

func TestDiscover(t *testing.T) {
	other, _, err := pkiutil.NewCertificateAuthority(&pkiutil.CertConfig{Config: certutil.Config{CommonName: "other"}})
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		CAs     int
		Accepts bool
	}
	for name, tc := range map[string]struct {
		reason string
		fleet  func(*fakeFleet)
		source func(*Source)
		want   result
		err    error  // that Is
		text   string // part of the error
		secret bool   // the token must not have been sent
	}{
		"Good":   {reason: "the fleet has the CA the user named", want: result{CAs: 1}},
		"Scheme": {reason: "host and port will do", source: func(s *Source) { s.Server = strings.TrimPrefix(s.Server, "https://") }, want: result{CAs: 1}},
		"Accepts": {
			reason: "a token may be good for being accepted",
			fleet:  func(f *fakeFleet) { f.groups = append(f.groups, wellknown.GroupAgentAutoAccept) },
			want:   result{CAs: 1, Accepts: true},
		},
		"AnyCA": {
			reason: "the user insists",
			source: func(s *Source) { s.AnyCA, s.CACertHashes = true, nil },
			want:   result{CAs: 1},
		},
		"SomeCA": {
			reason: "a CA beside the expected one is not trusted: it was only signed with the token",
			fleet:  func(f *fakeFleet) { f.publish(t, other, f.ca) },
			want:   result{CAs: 1},
		},
		"WrongHash": {
			reason: "a tampered hash, or a fleet that is not the user's",
			source: func(s *Source) { s.CACertHashes = []string{pubkeypin.Hash(other)} },
			err:    ErrCA, text: "do not register unless you know why", secret: true,
		},
		"BadHash": {
			reason: "a hash that is none is told",
			source: func(s *Source) { s.CACertHashes = []string{"1234"} },
			text:   "hash of the CA", secret: true,
		},
		"NoHash": {
			reason: "nobody trusts any CA by forgetting a flag",
			source: func(s *Source) { s.CACertHashes = nil },
			text:   "expected a hash of the CA", secret: true,
		},
		"OtherServer": {
			reason: "who copies cluster-info of the fleet does not have its key",
			fleet:  func(f *fakeFleet) { f.publish(t, other) },
			source: func(s *Source) { s.CACertHashes = []string{pubkeypin.Hash(other)} },
			err:    ErrCA, text: "not issued by that CA", secret: true,
		},
		"OtherAddress": {
			reason: "the address is not in the certificate; the user learns what to do",
			source: func(s *Source) { s.Server = strings.Replace(s.Server, "localhost", "127.0.0.1", 1) },
			text:   "--tls-san", secret: true,
		},
		"Tampered": {
			reason: "the answer was changed on its way",
			fleet: func(f *fakeFleet) {
				f.data["kubeconfig"] = strings.Replace(f.data["kubeconfig"], "localhost", "evil", 1)
			},
			err: ErrToken, text: "changed the answer", secret: true,
		},
		"WrongSecret": {
			reason: "a typing error in the token",
			source: func(s *Source) { s.Token = "abcdef.fedcba9876543210" },
			err:    ErrToken, text: "its secret is not the one", secret: true,
		},
		"Malformed": {
			reason: "half a token is told without asking",
			source: func(s *Source) { s.Token = "abcdef" },
			text:   "token: expected the form", secret: true,
		},
		"ExpiredSinceSigned": {
			reason: "a token may expire before its signature is removed",
			fleet:  func(f *fakeFleet) { f.groups = nil },
			err:    ErrToken, text: "fleet token create",
		},
		"OtherUse": {
			reason: "a token of another kind would be refused later, by riddles",
			fleet:  func(f *fakeFleet) { f.groups = []string{"system:bootstrappers:nodes"} },
			err:    ErrToken, text: "not for clusters to join with",
		},
		"NoClusterInfo": {
			reason: "the server is no fleet",
			fleet:  func(f *fakeFleet) { f.data = nil },
			err:    ErrNoFleet, text: "cluster-info", secret: true,
		},
		"Unreachable": {
			reason: "nobody is there",
			source: func(s *Source) { s.Server = "https://localhost:1" },
			text:   "reach the fleet at https://localhost:1", secret: true,
		},
		"Plain": {
			reason: "a token is not sent in the clear",
			source: func(s *Source) { s.Server = "http://localhost" },
			text:   "expected https://HOST:PORT", secret: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fleet := newFakeFleet(t)
			if tc.fleet != nil {
				tc.fleet(fleet)
			}
			source := Source{Server: fleet.url(), Token: testToken, CACertHashes: []string{pubkeypin.Hash(fleet.ca)}}
			if tc.source != nil {
				tc.source(&source)
			}
			found, err := Discover(t.Context(), source)
			if (err == nil) != (tc.text == "") || tc.err != nil && !errors.Is(err, tc.err) || err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("%s: Discover(): %v, want %v with %q", tc.reason, err, tc.err, tc.text)
			}
			if tc.secret && len(fleet.tokens) > 0 {
				t.Errorf("%s: the token was sent: %q", tc.reason, fleet.tokens)
			}
			if err != nil {
				return
			}
			authorities, err := certutil.ParseCertsPEM(found.CA)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, result{CAs: len(authorities), Accepts: found.Accepts}); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			kubeconfig, err := found.Kubeconfig()
			if err != nil {
				t.Fatal(err)
			}
			config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{fleet.url(), testToken, string(found.CA)}, []string{config.Host, config.BearerToken, string(config.CAData)}); diff != "" {
				t.Errorf("%s: kubeconfig of the agent: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestDiscoverWaits covers a token made just now, and one that is not known.
func TestDiscoverWaits(t *testing.T) {
	t.Parallel()
	fleet := newFakeFleet(t)
	source := Source{Server: fleet.url(), Token: testToken, CACertHashes: []string{pubkeypin.Hash(fleet.ca)}}
	unsigned := map[string]string{"kubeconfig": fleet.data["kubeconfig"]}
	fleet.mu.Lock()
	signed := fleet.data
	fleet.data = unsigned
	fleet.mu.Unlock()
	done := make(chan error, 1)
	go func() {
		_, err := Discover(t.Context(), source)
		done <- err
	}()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, signatureTimeout, true, func(context.Context) (bool, error) {
		fleet.mu.Lock()
		defer fleet.mu.Unlock()
		if fleet.asked >= 2 {
			fleet.data = signed
		}
		return fleet.asked >= 2, nil
	})
	if err != nil {
		t.Fatalf("the fleet is asked again: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the fleet signs a moment later: %v", err)
	}

	fleet.mu.Lock()
	fleet.data = unsigned
	fleet.mu.Unlock()
	if _, err := Discover(t.Context(), source); !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), `id "abcdef"`) {
		t.Errorf("a token that expired is told: %v", err)
	}
}
