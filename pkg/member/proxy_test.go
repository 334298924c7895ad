// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubefake "k8s.io/client-go/kubernetes/fake"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
)

// connectProxy is an HTTP proxy that lets through who shows the pass.
type connectProxy struct {
	*httptest.Server
	pass string

	mu        sync.Mutex
	connected map[string]int // by destination
	refused   int
}

func startProxy(t *testing.T, pass string) *connectProxy {
	t.Helper()
	p := &connectProxy{pass: pass, connected: map[string]int{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	allowed := r.Method == http.MethodConnect && strings.Join(r.Header.Values("X-Pass"), " ") == p.pass
	p.mu.Lock()
	if allowed {
		p.connected[r.Host]++
	} else {
		p.refused++
	}
	p.mu.Unlock()
	if !allowed {
		http.Error(w, "no pass", http.StatusProxyAuthRequired)
		return
	}
	destination, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = destination.Close() }()
	w.WriteHeader(http.StatusOK)
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(destination, buffered)
		_ = destination.Close()
	}()
	_, _ = io.Copy(client, destination)
	_ = client.Close()
}

// through counts the connections made to an address, and those refused.
func (p *connectProxy) through(address string) (connected, refused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.connected[address], p.refused
}

// TestMemberBehindProxy reaches a member through the proxy of its Cluster, with the
// headers the proxy asks for. Without them the member is not reached in any other
// way.
func TestMemberBehindProxy(t *testing.T) {
	f := fake.Start(t)
	address := strings.TrimPrefix(f.Config().Host, "https://")
	proxy := startProxy(t, "one two")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-one", Name: "one"},
		Data:       map[string][]byte{wellknown.SecretKeyToken: []byte(fake.Token)},
	}
	reach := func(header map[string]string) *Member {
		t.Helper()
		cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: clusterv1alpha1.ClusterSpec{
			APIEndpoint: f.Config().Host, InsecureSkipTLSVerification: true, ProxyURL: proxy.URL, ProxyHeader: header,
			SecretRef: &clusterv1alpha1.LocalSecretReference{Namespace: secret.Namespace, Name: secret.Name},
		}}
		m, _ := connected(t, f, func(o *Options) {
			o.Access = PushAccess(func() (*clusterv1alpha1.Cluster, error) { return cluster, nil }, kubefake.NewClientset(secret).CoreV1())
		})
		return m
	}
	m := reach(map[string]string{"X-Pass": "one, two"})
	awaitHealth(t, m, "usable", usable)
	if _, err := m.Core().Namespaces().Get(t.Context(), metav1.NamespaceDefault, metav1.GetOptions{}); err != nil {
		t.Errorf("read through the proxy: %v", err)
	}
	connected, refused := proxy.through(address)
	if connected == 0 || refused > 0 {
		t.Errorf("%d connections through the proxy, %d refused, want some and none: the proxy or its headers are not honoured", connected, refused)
	}

	f.ResetRequests()
	lost := awaitHealth(t, reach(nil), "lost", func(h Health) bool { return !h.Reachable && h.Reason != "" })
	if !strings.Contains(lost.Message, "Proxy Authentication Required") {
		t.Errorf("the proxy's words are %q, want its refusal", lost.Message)
	}
	if _, refused := proxy.through(address); refused == 0 {
		t.Error("a request went past the proxy")
	}
}
