// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/apis/cluster"
	"fleet.dev/fleet/pkg/apis/wellknown"
	registry "fleet.dev/fleet/pkg/registry/cluster/cluster"
)

var ann = &user.DefaultInfo{Name: "ann", UID: "1", Groups: []string{"devs"}, Extra: map[string][]string{"scope": {"a"}}}

func pushedTo(endpoint string) *cluster.Cluster {
	return &cluster.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "paris", UID: "uid", Generation: 1},
		Spec: cluster.ClusterSpec{
			SyncMode: cluster.Push, APIEndpoint: endpoint, InsecureSkipTLSVerification: true,
			ImpersonatorSecretRef: &cluster.LocalSecretReference{Namespace: "fleet-cluster-paris", Name: "paris-impersonator"},
		},
	}
}

func credentials(token string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-paris", Name: "paris-impersonator"},
		Data:       map[string][]byte{wellknown.SecretKeyToken: []byte(token)},
	}
}

// ask sends a request through the way to a member.
func ask(t *testing.T, way registry.Way, method, path, body string) (code int, answer string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, way.URL.JoinPath(path).String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Body = io.NopCloser(strings.NewReader(body))
	}
	response, err := way.Transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(text)), err
}

func TestPushToken(t *testing.T) {
	unauthorized, err := json.Marshal(&metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status"}, Reason: metav1.StatusReasonUnauthorized})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		reason        string
		stored, valid string // tokens: in the Secret now, and accepted by the member
		method, path  string
		body          string
		refusal       string
		code          int
		want          string
		wantErr       string
	}{
		"Good": {
			reason: "the token that is known is good", stored: "old", valid: "old", method: "GET", path: "/api",
			code: http.StatusOK, want: "ann [devs] [a]",
		},
		"Rotated": {
			reason: "the Secret is read again when the member refuses the token", stored: "new", valid: "new", method: "GET", path: "/api",
			refusal: string(unauthorized), code: http.StatusOK, want: "ann [devs] [a]",
		},
		"RotatedWithBody": {
			reason: "a body that was read cannot be sent again", stored: "new", valid: "new", method: "POST", path: "/api", body: "{}",
			refusal: string(unauthorized), wantErr: "the fleet's credentials for it have just changed; try again",
		},
		"Refused": {
			reason: "users are not told that their own credentials are bad", stored: "old", valid: "new", method: "GET", path: "/api",
			refusal: string(unauthorized), wantErr: "it refuses the token in Secret fleet-cluster-paris/paris-impersonator",
		},
		"RefusedBehindProxy": {
			reason: "the member's API server refuses also what it would proxy", stored: "old", valid: "new", method: "GET", path: "/api/v1/namespaces/a/pods/b/proxy/",
			refusal: string(unauthorized), wantErr: "it refuses the token in Secret fleet-cluster-paris/paris-impersonator",
		},
		"Application": {
			reason: "an application in a Pod may ask for a password", stored: "old", valid: "new", method: "GET", path: "/api/v1/namespaces/a/pods/b/proxy/",
			refusal: "password?", code: http.StatusUnauthorized, want: "password?",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			valid := "old"
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Header.Get("Authorization") != "Bearer "+valid {
					w.WriteHeader(http.StatusUnauthorized)
					_, _ = io.WriteString(w, tc.refusal)
					return
				}
				_, _ = fmt.Fprint(w, req.Header.Get("Impersonate-User"), " ", req.Header["Impersonate-Group"], " ", req.Header["Impersonate-Extra-Scope"])
			}))
			defer server.Close()
			client := fake.NewClientset(credentials("old"))
			m := New(clock.RealClock{})
			m.Connect(client.CoreV1(), nil)
			if way, err := m.Way(t.Context(), pushedTo(server.URL), ann, false); err != nil {
				t.Fatal(err)
			} else if code, answer, err := ask(t, way, "GET", "/", ""); code != http.StatusOK || err != nil {
				t.Fatalf("the first request is good: got %d %s, %v", code, answer, err)
			}
			if _, err := client.CoreV1().Secrets("fleet-cluster-paris").Update(t.Context(), credentials(tc.stored), metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			valid = tc.valid

			way, err := m.Way(t.Context(), pushedTo(server.URL), ann, false)
			if err != nil {
				t.Fatal(err)
			}
			code, answer, err := ask(t, way, tc.method, tc.path, tc.body)
			if code != tc.code || answer != tc.want || (tc.wantErr == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("%s: want %d %q %q, got %d %q, %v", tc.reason, tc.code, tc.want, tc.wantErr, code, answer, err)
			}
		})
	}
}

func TestPushCache(t *testing.T) {
	client := fake.NewClientset(credentials("token"))
	now := clocktesting.NewFakeClock(time.Now())
	m := New(now)
	m.Connect(client.CoreV1(), nil)
	way := func(change func(*cluster.Cluster)) registry.Way {
		t.Helper()
		c := pushedTo("https://192.0.2.1:6443")
		change(c)
		got, err := m.Way(t.Context(), c, ann, false)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	same := func(*cluster.Cluster) {}
	way(same)
	known := m.pushed["paris"]
	way(same)
	if reads := len(client.Actions()); reads != 1 || m.pushed["paris"] != known {
		t.Errorf("a Secret is read once for many requests: want 1 read, got %d", reads)
	}
	now.Step(secretAge + time.Second)
	way(same)
	if reads := len(client.Actions()); reads != 2 || m.pushed["paris"] != known {
		t.Errorf("and again after a while, with the connections that there are: want 2 reads, got %d", reads)
	}
	moved := way(func(c *cluster.Cluster) { c.Spec.APIEndpoint, c.Generation = "https://192.0.2.2:6443", 2 })
	if moved.URL.Host != "192.0.2.2:6443" || m.pushed["paris"] == known {
		t.Errorf("a new endpoint is used at once: got %s", moved.URL)
	}
	now.Step(idleMember + time.Second)
	way(func(c *cluster.Cluster) { c.Name = "rome" })
	if diff := cmp.Diff([]string{"rome"}, keys(m.pushed)); diff != "" {
		t.Errorf("members that nobody asks are forgotten: -want +got:\n%s", diff)
	}
}

func keys(all map[string]*pushed) (names []string) {
	for name := range all {
		names = append(names, name)
	}
	return names
}

func TestNoWay(t *testing.T) {
	tests := map[string]struct {
		reason string
		change func(*cluster.Cluster)
		want   string
	}{
		"NoReference": {
			reason: "the rights of the syncer are not used instead",
			change: func(c *cluster.Cluster) { c.Spec.ImpersonatorSecretRef = nil },
			want:   `cluster "paris" cannot be reached: it has no spec.impersonatorSecretRef; join it again with "fleet join paris"`,
		},
		"NoSecret": {
			reason: "the Secret is named",
			change: func(c *cluster.Cluster) { c.Spec.ImpersonatorSecretRef.Name = "gone" },
			want:   `cluster "paris" cannot be reached: secret fleet-cluster-paris/gone in spec.impersonatorSecretRef is missing; join it again with "fleet join paris"`,
		},
		"NoEndpoint": {
			reason: "the field is named",
			change: func(c *cluster.Cluster) { c.Spec.APIEndpoint = "" },
			want:   `cluster "paris" cannot be reached: credentials are not usable: Cluster "paris" has no spec.apiEndpoint`,
		},
		"NotAccepted": {
			reason: "so is the command",
			change: func(c *cluster.Cluster) { c.Spec.SyncMode = cluster.Pull },
			want:   `cluster "paris" cannot be reached: it is not accepted yet; an administrator accepts it with "fleet accept paris"`,
		},
		"NotConnected": {
			reason: "and the place to look at",
			change: func(c *cluster.Cluster) { c.Spec.SyncMode, c.Spec.Accepted = cluster.Pull, true },
			want: `cluster "paris" cannot be reached: its agent is not connected; ` +
				`see that the Deployment fleet-system/fleet-agent runs in the member and can reach the fleet`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := New(clock.RealClock{})
			m.Connect(fake.NewClientset(credentials("token")).CoreV1(), nil)
			c := pushedTo("https://192.0.2.1:6443")
			tc.change(c)
			_, err := m.Way(t.Context(), c, ann, false)
			if !apierrors.IsServiceUnavailable(err) || err.Error() != tc.want {
				t.Errorf("%s: want %s, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

func lease(name, address string, renewed time.Time) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem, Name: name,
			Labels:      map[string]string{"apiserver.kubernetes.io/identity": "kube-apiserver"},
			Annotations: map[string]string{corev1.AnnotationPeerAdvertiseAddress: address},
		},
		Spec: coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: renewed}, LeaseDurationSeconds: ptr.To[int32](3600)},
	}
}

func TestPeers(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(time.Now())
	connected, asked := []string{"paris"}, 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == TunnelsPath && req.Header.Get("X-Remote-User") == user.APIServerUser && req.Header.Get("X-Remote-Group") == user.SystemPrivilegedGroup {
			asked++
			_ = json.NewEncoder(w).Encode(connected)
			return
		}
		if req.Header.Get(forwardedHeader) != "self" || req.Header.Get("Impersonate-User") != "" {
			http.Error(w, "not from a peer", http.StatusBadRequest)
			return
		}
		if len(connected) == 0 {
			http.Error(w, "no tunnel", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprint(w, req.URL.Path, " ", req.Header["X-Remote-User"], req.Header["X-Remote-Group"], req.Header["X-Remote-Extra-Scope"])
	}))
	defer server.Close()
	leases := fake.NewClientset(
		lease("self", "192.0.2.1:1", now.Now()),
		lease("peer", server.Listener.Addr().String(), now.Now()),
		lease("dead", "127.0.0.1:1", now.Now().Add(-leaseAge-time.Second)),
	)
	peers := NewPeers(PeersOptions{
		Self: "self", Leases: leases.CoordinationV1(), Plain: server.Client().Transport, Upgrade: server.Client().Transport, Clock: now,
	})

	way, ok := peers.way(t.Context(), "paris", ann, false)
	if !ok {
		t.Fatal("the peer with the tunnel is found")
	}
	code, answer, err := ask(t, way, "GET", "/api", "")
	if want := "/apis/cluster.fleet.dev/v1alpha1/clusters/paris/proxy/api [ann] [devs] [a]"; code != http.StatusOK || answer != want || err != nil {
		t.Errorf("it is asked in the name of the user: want %s, got %d %s, %v", want, code, answer, err)
	}
	if _, ok := peers.way(t.Context(), "paris", ann, false); !ok || asked != 1 {
		t.Errorf("what it said is believed for a while: asked %d times", asked)
	}
	if _, ok := peers.way(t.Context(), "rome", ann, false); ok || asked != 1 {
		t.Errorf("nor is it asked again at once for what it does not have: asked %d times", asked)
	}
	connected = nil
	if code, _, err := ask(t, way, "GET", "/api", ""); code != http.StatusServiceUnavailable || err != nil {
		t.Errorf("a tunnel may be gone: got %d, %v", code, err)
	}
	if _, ok := peers.way(t.Context(), "paris", ann, false); ok || asked != 2 {
		t.Errorf("then it is asked again: asked %d times", asked)
	}
	connected = []string{"paris"}
	now.SetTime(now.Now().Add(askAgainAfter))
	if _, ok := peers.way(t.Context(), "paris", ann, false); !ok || asked != 3 {
		t.Errorf("and again, when the agent may have come back: asked %d times", asked)
	}

	WithForwarded(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if _, ok := peers.way(req.Context(), "paris", ann, false); ok {
			t.Error("a request from a peer goes no further")
		}
	})).ServeHTTP(httptest.NewRecorder(), fromPeer(t))
}

func fromPeer(t *testing.T) *http.Request {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	req.Header.Set(forwardedHeader, "peer")
	return req
}
