// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

func TestRefused(t *testing.T) {
	joinPull(t, fleet, "waiting", false)
	joinPull(t, fleet, "silent", true)
	m := startMember(t, "token")
	joinPush(t, fleet, "down", m)
	m.Close()
	createCluster(t, fleet, &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "unfinished"},
		Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Push, APIEndpoint: m.URL},
	})
	tests := map[string]struct {
		reason  string
		config  *rest.Config
		cluster string
		path    string
		code    int
		want    []string
	}{
		"NoRight": {
			reason: "the fleet's RBAC is asked first",
			config: as(fleet, "bob", "", "others"), cluster: "silent", path: "/echo/",
			code: http.StatusForbidden, want: []string{`cannot get resource "clusters/proxy"`},
		},
		"NoCluster": {
			reason: "a member that is not there is not found",
			config: ann(fleet), cluster: "nowhere", path: "/echo/",
			code: http.StatusNotFound, want: []string{`clusters.cluster.fleet.dev "nowhere" not found`},
		},
		"NotAccepted": {
			reason: "who may change that is told how",
			config: ann(fleet), cluster: "waiting", path: "/echo/",
			code: http.StatusServiceUnavailable, want: []string{`cluster "waiting" cannot be reached`, "fleet accept waiting"},
		},
		"NotConnected": {
			reason: "the place to look at is named",
			config: ann(fleet), cluster: "silent", path: "/echo/",
			code: http.StatusServiceUnavailable, want: []string{`cluster "silent" cannot be reached`, "fleet-system/fleet-agent"},
		},
		"NoCredentials": {
			reason: "the syncer's rights are not used instead",
			config: ann(fleet), cluster: "unfinished", path: "/echo/",
			code: http.StatusServiceUnavailable, want: []string{`cluster "unfinished" cannot be reached`, "fleet join unfinished"},
		},
		"Down": {
			reason: "the cause is named",
			config: ann(fleet), cluster: "down", path: "/echo/",
			code: http.StatusServiceUnavailable, want: []string{`cluster "down" cannot be reached`, "connection refused"},
		},
		"Dots": {
			reason: "the endpoint of a member may have a path, which is not left",
			config: ann(fleet), cluster: "silent", path: "/echo/%2e%2e/x",
			code: http.StatusBadRequest, want: []string{"must not have the elements . and .."},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			response, err := ask(t, tc.config, "GET", proxyPath(tc.cluster, tc.path), nil, nil)
			code, body := read(t, response, err)
			status := metav1.Status{}
			if err := json.Unmarshal([]byte(body), &status); err != nil || status.Kind != "Status" || int(status.Code) != tc.code || code != tc.code {
				t.Errorf("%s: want a Status with code %d, got %d %s", tc.reason, tc.code, code, body)
			}
			for _, want := range tc.want {
				if !strings.Contains(status.Message, want) {
					t.Errorf("%s: want %q in %q", tc.reason, want, status.Message)
				}
			}
		})
	}
}

func TestTunnelIsItsAgentsAlone(t *testing.T) {
	joinPull(t, fleet, "mine", true)
	joinPull(t, fleet, "notaccepted", false)
	m := startMember(t, "token")
	joinPush(t, fleet, "pushed", m)
	agent := func(name, id string) *rest.Config { return asAgent(fleet, name, id) }
	admin := as(fleet, "root", "", "system:masters")
	tests := map[string]struct {
		reason  string
		config  *rest.Config
		cluster string
		code    int
	}{
		"AnotherMember": {reason: "an agent does not pose as another", config: agent("other", "id-other"), cluster: "mine", code: http.StatusForbidden},
		"AnotherID":     {reason: "nor does one whose Cluster was made anew", config: agent("mine", "id-older"), cluster: "mine", code: http.StatusForbidden},
		"NotAccepted":   {reason: "an administrator comes first", config: agent("notaccepted", "id-notaccepted"), cluster: "notaccepted", code: http.StatusForbidden},
		"Push":          {reason: "the fleet dials such members", config: agent("pushed", "id-pushed"), cluster: "pushed", code: http.StatusForbidden},
		"Admin":         {reason: "whoever may do everything is still no agent", config: admin, cluster: "mine", code: http.StatusForbidden},
		"NoUpgrade":     {reason: "a plain request is not a tunnel", config: agent("mine", "id-mine"), cluster: "mine", code: http.StatusBadRequest},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			transport, err := rest.TransportFor(tc.config)
			if err != nil {
				t.Fatal(err)
			}
			url := fleet.Config.Host + "/apis/cluster.fleet.dev/v1alpha1/clusters/" + tc.cluster + "/tunnel"
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(req)
			if code, body := read(t, response, err); code != tc.code {
				t.Errorf("%s: want %d, got %d %s", tc.reason, tc.code, code, body)
			}
		})
	}
}

func TestTunnelEndsWithItsCluster(t *testing.T) {
	clusters := fleet.Fleet.ClusterV1alpha1().Clusters()
	for name, change := range map[string]func() error{
		"deleted": func() error { return clusters.Delete(t.Context(), "deleted", metav1.DeleteOptions{}) },
		"revoked": func() error {
			_, err := clusters.Patch(t.Context(), "revoked", types.MergePatchType, []byte(`{"spec":{"accepted":false}}`), metav1.PatchOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := startMember(t, "token")
			joinPull(t, fleet, name, true)
			agent, _ := runAgent(t, fleet, name, m)
			eventually(t, "connect", agent.Connected)
			if err := change(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the agent is cut off", func() bool { return !agent.Connected() })
		})
	}
}

func TestTunnelComesBack(t *testing.T) {
	m := startMember(t, "token")
	joinPull(t, fleet, "restarted", true)
	stop := startAgent(t, fleet, "restarted", m)
	stop()
	eventually(t, "the member is not connected", func() bool {
		response, err := ask(t, ann(fleet), "GET", proxyPath("restarted", "/echo/"), nil, nil)
		code, _ := read(t, response, err)
		return code == http.StatusServiceUnavailable
	})
	startAgent(t, fleet, "restarted", m)
	response, err := ask(t, ann(fleet), "GET", proxyPath("restarted", "/echo/"), nil, nil)
	if code, body := read(t, response, err); code != http.StatusOK {
		t.Errorf("the member is back with its agent: got %d %s", code, body)
	}
}

func TestPushCredentialsChange(t *testing.T) {
	m := startMember(t, "first")
	joinPush(t, fleet, "rotating", m)
	get := func() (int, string) {
		response, err := ask(t, ann(fleet), "GET", proxyPath("rotating", "/echo/"), nil, nil)
		return read(t, response, err)
	}
	if code, body := get(); code != http.StatusOK {
		t.Fatalf("the token is good: got %d %s", code, body)
	}
	m.setToken("second")
	code, body := get()
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "refuses the token in Secret fleet-cluster-rotating/rotating-impersonator") {
		t.Errorf("users are not told that their own credentials are bad: got %d %s", code, body)
	}
	patch := []byte(`{"stringData":{"token":"second"}}`)
	if _, err := fleet.Kube.CoreV1().Secrets("fleet-cluster-rotating").Patch(t.Context(), "rotating-impersonator", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if code, body := get(); code != http.StatusOK {
		t.Errorf("a new token is used at once: got %d %s", code, body)
	}
	other := startMember(t, "second")
	endpoint, err := json.Marshal(map[string]any{"spec": map[string]any{"apiEndpoint": other.URL, "insecureSkipTLSVerification": true}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.Fleet.ClusterV1alpha1().Clusters().Patch(t.Context(), "rotating", types.MergePatchType, endpoint, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	eventually(t, "a new endpoint is used", func() bool {
		code, _ := get()
		return code == http.StatusOK
	})
}

func TestAgentCredentialsExpire(t *testing.T) {
	m := startMember(t, "first")
	joinPull(t, fleet, "expiring", true)
	startAgent(t, fleet, "expiring", m)
	m.setToken("second")
	response, err := ask(t, ann(fleet), "GET", proxyPath("expiring", "/echo/"), nil, nil)
	code, body := read(t, response, err)
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "it refuses the credentials of the fleet or of its agent") {
		t.Errorf("users are not told that their own credentials are bad: got %d %s", code, body)
	}
}

func TestPushThroughProxy(t *testing.T) {
	m := startMember(t, "token")
	connects := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		connects <- req.Method + " " + req.Host + " " + req.Header.Get("X-Proxy-Key")
		tunnelTo(w, m.Listener.Addr().String())
	}))
	defer proxy.Close()
	joinPush(t, fleet, "behind", m)
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{
		"apiEndpoint": "https://example.com:6443", "proxyURL": proxy.URL, "proxyHeader": map[string]string{"X-Proxy-Key": "key"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fleet.Fleet.ClusterV1alpha1().Clusters().Patch(t.Context(), "behind", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, upgrade := range []bool{false, true} {
		header := map[string]string{}
		if upgrade {
			header = map[string]string{"Connection": "Upgrade", "Upgrade": "something"} // which the member does not know
		}
		eventually(t, "the proxy is used", func() bool {
			response, err := ask(t, withoutHTTP2(ann(fleet)), "GET", proxyPath("behind", "/echo/"), nil, header)
			code, _ := read(t, response, err)
			return code == http.StatusOK
		})
		if got := <-connects; got != "CONNECT example.com:6443 key" {
			t.Errorf("requests and upgrades (%t) go through spec.proxyURL with spec.proxyHeader: got %q", upgrade, got)
		}
	}
}
