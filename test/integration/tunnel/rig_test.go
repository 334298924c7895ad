// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/tunnel"
	"fleet.dev/fleet/test/integration/harness"
)

// patience bounds every wait.
const patience = 60 * time.Second

// fleet is the server of most tests.
var fleet *harness.APIServer

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, func(ctx context.Context, server *harness.APIServer) error {
		fleet = server
		return allowProxy(ctx, server)
	}))
}

// allowProxy lets the group devs reach members.
func allowProxy(ctx context.Context, server *harness.APIServer, peers ...*harness.APIServer) error {
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "devs"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{clusterv1alpha1.GroupName}, Resources: []string{"clusters/proxy"}, Verbs: []string{"*"}}},
	}
	if _, err := server.Kube.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := server.Kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "devs"}},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	for _, one := range append(peers, server) {
		if err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
			review, err := one.Kube.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "ann", Groups: []string{"devs"},
				ResourceAttributes: &authorizationv1.ResourceAttributes{Group: clusterv1alpha1.GroupName, Resource: "clusters", Subresource: "proxy", Verb: "get"},
			}}, metav1.CreateOptions{})
			return err == nil && review.Status.Allowed, err
		}); err != nil {
			return fmt.Errorf("wait until the proxy is allowed: %w", err)
		}
	}
	return nil
}

// member is the API server of a member, as far as proxies go.
type member struct {
	*httptest.Server

	mu    sync.Mutex
	token string         // the one that is good
	ended map[string]int // requests whose client went away, by path
}

// seen is what the member answers at /echo: how a request arrived.
type seen struct {
	Method, URI, Body string
	Header            http.Header
}

func startMember(t *testing.T, token string) *member {
	t.Helper()
	m := &member{token: token, ended: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo/", m.echo)
	mux.HandleFunc("/watch", m.watch)
	mux.HandleFunc("/drain", func(w http.ResponseWriter, req *http.Request) {
		n, _ := io.Copy(io.Discard, req.Body)
		_ = json.NewEncoder(w).Encode(n)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		for range largeBody / len(zeros) {
			_, _ = w.Write(zeros)
		}
	})
	mux.HandleFunc("/denied", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) })
	mux.HandleFunc("/spdy", serveSPDY)
	mux.HandleFunc("/websocket", serveWebSocket)
	m.Server = httptest.NewUnstartedServer(m.authenticate(mux))
	m.EnableHTTP2 = true
	m.StartTLS()
	t.Cleanup(m.Close)
	return m
}

const largeBody = 32 << 20

var zeros = make([]byte, 32<<10)

func (m *member) setToken(token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token = token
}

func (m *member) authenticate(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		m.mu.Lock()
		token := m.token
		m.mu.Unlock()
		if req.Header.Get("Authorization") != "Bearer "+token {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(apierrors.NewUnauthorized("Unauthorized").ErrStatus)
			return
		}
		handler.ServeHTTP(w, req)
	})
}

func (m *member) echo(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(seen{Method: req.Method, URI: req.RequestURI, Body: string(body), Header: req.Header}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// watch sends an event and waits until the client is gone.
func (m *member) watch(w http.ResponseWriter, req *http.Request) {
	_, _ = io.WriteString(w, "{\"type\":\"ADDED\"}\n")
	w.(http.Flusher).Flush()
	<-req.Context().Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[req.URL.Query().Get("test")]++
}

func (m *member) wasEnded(test string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended[test] > 0
}

// serveSPDY sends back what comes on each stream.
func serveSPDY(w http.ResponseWriter, req *http.Request) {
	streams := make(chan httpstream.Stream)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, req, func(stream httpstream.Stream, _ <-chan struct{}) error {
		streams <- stream
		return nil
	})
	if conn == nil {
		return
	}
	defer conn.Close() //nolint:errcheck // done
	for {
		select {
		case stream := <-streams:
			go func() {
				_, _ = io.Copy(stream, stream)
				_ = stream.Close()
			}()
		case <-conn.CloseChan():
			return
		}
	}
}

func serveWebSocket(w http.ResponseWriter, req *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"echo"}}
	conn, err := upgrader.Upgrade(w, req, nil)
	if err != nil {
		return
	}
	defer conn.Close() //nolint:errcheck // done
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
	}
}

func (m *member) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw})
}

// createCluster makes a Cluster and removes it after the test.
func createCluster(t *testing.T, server *harness.APIServer, c *clusterv1alpha1.Cluster) {
	t.Helper()
	clusters := server.Fleet.ClusterV1alpha1().Clusters()
	if _, err := clusters.Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := clusters.Delete(context.WithoutCancel(t.Context()), c.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) && !utilnet.IsConnectionRefused(err) { // a server may have been stopped
			t.Errorf("delete Cluster %q: %v", c.Name, err)
		}
	})
}

// joinPush makes m a member in Push mode.
func joinPush(t *testing.T, server *harness.APIServer, name string, m *member) {
	t.Helper()
	namespace := clusterv1alpha1.MemberNamespace(name)
	if _, err := server.Kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	createSecret(t, server, name, m)
	createCluster(t, server, &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: clusterv1alpha1.ClusterSpec{
			SyncMode: clusterv1alpha1.Push, APIEndpoint: m.URL, ID: "id-" + name,
			ImpersonatorSecretRef: &clusterv1alpha1.LocalSecretReference{Namespace: namespace, Name: name + "-impersonator"},
		},
	})
}

func createSecret(t *testing.T, server *harness.APIServer, name string, m *member) {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: clusterv1alpha1.MemberNamespace(name), Name: name + "-impersonator"},
		Data:       map[string][]byte{wellknown.SecretKeyToken: []byte(m.token), wellknown.SecretKeyCABundle: m.ca()},
	}
	if _, err := server.Kube.CoreV1().Secrets(secret.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// joinPull makes m a member in Pull mode, without an agent.
func joinPull(t *testing.T, server *harness.APIServer, name string, accepted bool) {
	t.Helper()
	createCluster(t, server, &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{wellknown.AnnotationRegistrationKey: registration}},
		Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull, ID: "id-" + name, Accepted: accepted},
	})
}

// runAgent runs the agent of a member until the test ends or stop is called.
func runAgent(t *testing.T, server *harness.APIServer, name string, m *member) (agent *tunnel.Agent, stop func()) {
	t.Helper()
	handler, err := tunnel.NewMemberHandler(&rest.Config{Host: m.URL, BearerToken: m.token, TLSClientConfig: rest.TLSClientConfig{CAData: m.ca()}})
	if err != nil {
		t.Fatal(err)
	}
	agent, err = tunnel.NewAgent(tunnel.AgentOptions{
		Cluster: name, Handler: handler,
		Fleet: asAgent(server, name, "id-"+name),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { agent.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return agent, stop
}

// startAgent is runAgent, and waits until the tunnel is open.
func startAgent(t *testing.T, server *harness.APIServer, name string, m *member) (stop func()) {
	t.Helper()
	agent, stop := runAgent(t, server, name, m)
	eventually(t, "the agent of "+name+" connects", agent.Connected)
	return stop
}

// as returns the configuration of a user.
func as(server *harness.APIServer, name, uid string, groups ...string) *rest.Config {
	config := rest.CopyConfig(server.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: name, UID: uid, Groups: slices.Concat(groups, []string{"system:authenticated"})}
	return config
}

// registration stands for the key that agents were accepted with.
var registration = "sha256:" + strings.Repeat("0", 64)

// asAgent returns the configuration of an agent.
func asAgent(server *harness.APIServer, name, id string) *rest.Config {
	config := as(server, wellknown.UserClusterPrefix+name, id, wellknown.GroupClusters)
	config.Impersonate.Extra = map[string][]string{wellknown.ExtraRegistration: {registration}}
	return config
}

// ann may reach members.
func ann(server *harness.APIServer) *rest.Config {
	config := as(server, "ann", "uid-of-ann", "devs", "team/a b")
	config.Impersonate.Extra = map[string][]string{"example.com/scopes": {"one", "two"}}
	return config
}

func proxyPath(name, path string) string {
	return "/apis/cluster.fleet.dev/v1alpha1/clusters/" + name + "/proxy" + path
}

// ask sends a request of a user.
func ask(t *testing.T, config *rest.Config, method, path string, body io.Reader, header map[string]string) (*http.Response, error) {
	t.Helper()
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, config.Host+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return transport.RoundTrip(req)
}

// read returns the code and the body of an answer.
func read(t *testing.T, response *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(body))
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		return condition(), nil
	}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// withoutHTTP2 returns a configuration whose connections can be upgraded.
func withoutHTTP2(config *rest.Config) *rest.Config {
	config.NextProtos = []string{"http/1.1"}
	return config
}

// tunnelTo answers CONNECT, whatever it asked for, with a connection to address.
func tunnelTo(w http.ResponseWriter, address string) {
	target, err := (&net.Dialer{}).Dial("tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer target.Close() //nolint:errcheck // done
	w.WriteHeader(http.StatusOK)
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close() //nolint:errcheck // done
	go func() { _, _ = io.Copy(target, client) }()
	_, _ = io.Copy(client, target)
}
