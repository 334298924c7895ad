// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dialer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/streaming/pkg/httpstream"
	streamspdy "k8s.io/streaming/pkg/httpstream/spdy"
)

// fakeMember is a member whose API server knows EndpointSlices and forwards ports. What
// it forwards it sends back, with its name and the Pod's before it.
type fakeMember struct {
	*httptest.Server

	name    string
	slices  []discoveryv1.EndpointSlice
	refused string // what Pods say that nothing listens in, empty when it does
	flood   bool   // Pods send without end
	breaks  bool   // connections end without an answer
	listed  atomic.Int32

	mu       sync.Mutex
	upgraded []net.Conn // guarded by mu; the server does not know them any more
}

func newMember(t *testing.T, name string, slices ...discoveryv1.EndpointSlice) *fakeMember {
	t.Helper()
	m := &fakeMember{name: name, slices: slices}
	m.Server = httptest.NewUnstartedServer(m)
	m.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateHijacked {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.upgraded = append(m.upgraded, conn)
		}
	}
	m.Start()
	t.Cleanup(func() {
		m.stop()
		m.Close()
	})
	return m
}

// silent returns a member that takes requests and does not answer.
func silent(t *testing.T, name string) *fakeMember {
	t.Helper()
	m := &fakeMember{name: name}
	m.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }))
	t.Cleanup(func() {
		m.CloseClientConnections()
		m.Close()
	})
	return m
}

// stop has the member refuse connections and end those that there are.
func (m *fakeMember) stop() {
	_ = m.Listener.Close()
	m.CloseClientConnections()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, conn := range m.upgraded {
		_ = conn.Close()
	}
}

// ServeHTTP implements http.Handler.
func (m *fakeMember) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if m.breaks {
		panic(http.ErrAbortHandler)
	}
	switch path := req.URL.Path; {
	case path == "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices" && req.URL.Query().Get("labelSelector") == "kubernetes.io/service-name=web":
		m.listed.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(&discoveryv1.EndpointSliceList{
			TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSliceList"}, Items: m.slices,
		}); err != nil {
			panic(http.ErrAbortHandler)
		}
	case strings.HasSuffix(path, "gone/portforward"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","message":"pods \"%s\" not found","code":404}`, strings.Split(path, "/")[6])
	case strings.HasSuffix(path, "/portforward"):
		m.forward(w, req, strings.Split(path, "/")[6])
	default:
		http.Error(w, "what is "+req.URL.String(), http.StatusTeapot)
	}
}

func (m *fakeMember) forward(w http.ResponseWriter, req *http.Request, pod string) {
	if _, err := httpstream.Handshake(req, w, []string{"portforward.k8s.io"}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream, 10)
	conn := streamspdy.NewResponseUpgrader().UpgradeResponse(w, req, func(stream httpstream.Stream, replied <-chan struct{}) error {
		go func() {
			<-replied
			streams <- stream
		}()
		return nil
	})
	if conn == nil {
		return
	}
	defer conn.Close() //nolint:errcheck // the test is about what came before
	var data, why httpstream.Stream
	for {
		select {
		case <-conn.CloseChan():
			return
		case stream := <-streams:
			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				why = stream
			} else {
				data = stream
			}
			if data != nil && why != nil {
				go m.carry(data, why, fmt.Sprintf("%s/%s:%s ", m.name, pod, data.Headers().Get(corev1.PortHeader)))
			}
		}
	}
}

func (m *fakeMember) carry(data, why httpstream.Stream, greeting string) {
	if m.refused != "" {
		_, _ = io.WriteString(why, m.refused)
		_ = why.Close()
		_ = data.Reset()
		return
	}
	for m.flood {
		if _, err := data.Write(make([]byte, 4<<10)); err != nil {
			return
		}
	}
	_, _ = io.WriteString(data, greeting)
	_, _ = io.Copy(data, data)
	_ = data.Close()
	_ = why.Close()
}

// fakeMembers are members by name; those without a server have no way to them.
type fakeMembers struct {
	having    []Member
	byName    map[string]*fakeMember
	transport http.RoundTripper
}

func members(members ...*fakeMember) *fakeMembers {
	made := &fakeMembers{byName: map[string]*fakeMember{}, transport: http.DefaultTransport}
	for _, m := range members {
		made.having = append(made.having, Member{Name: m.name, Ready: true})
		made.byName[m.name] = m
	}
	return made
}

func (m *fakeMembers) Having(service types.NamespacedName) []Member {
	if service.String() != "ns/web" {
		return nil
	}
	return m.having
}

func (m *fakeMembers) Way(_ context.Context, member string, _ bool) (Way, error) {
	found := m.byName[member]
	if found == nil {
		return Way{}, errors.New("its agent is not connected")
	}
	at, err := url.Parse(found.URL)
	return Way{URL: at, Transport: m.transport}, err
}

// says sends a line and returns what comes back before the connection ends or the line is
// complete.
func says(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Errorf("the connection said %q, %v; want %q", got, err, want)
	}
}
