// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// pipeAgent serves handler at the far end of a tunnel over a pipe, without
// dialing or HTTP in between.
func pipeAgent(t *testing.T, registry *Registry, peer Peer, handler http.Handler) (ended <-chan error) {
	t.Helper()
	near, far := net.Pipe()
	link, err := newLink(far, false, time.Minute, klog.Background(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	agent := &Agent{handler: handler, clock: clock.RealClock{}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = agent.serve(ctx, link) })
	reason := make(chan error, 1)
	running.Go(func() { reason <- registry.Serve(ctx, near, peer) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	eventually(t, "open", func() bool { return registry.Has(peer.Cluster) })
	return reason
}

func newRegistry(t *testing.T) *Registry {
	t.Helper()
	registry := NewRegistry(clock.RealClock{})
	t.Cleanup(registry.Close)
	return registry
}

func TestNewerReplacesOlder(t *testing.T) {
	registry := newRegistry(t)
	f := &fleet{Registry: registry}
	inOlder, release := make(chan struct{}), make(chan struct{})
	olderEnded := pipeAgent(t, registry, Peer{Cluster: "paris"}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inOlder)
		<-release
		_, _ = fmt.Fprint(w, "older")
	}))
	answer := make(chan string, 1)
	go func() {
		got, err := f.get(t.Context(), "paris", "/slow")
		answer <- fmt.Sprint(got, err)
	}()
	<-inOlder
	newerEnded := pipeAgent(t, registry, Peer{Cluster: "paris"}, echo("newer"))

	eventually(t, "the newer tunnel takes new requests", func() bool {
		got, err := f.get(t.Context(), "paris", "/")
		return got == "newer/" && err == nil
	})
	select {
	case err := <-olderEnded:
		t.Errorf("the older tunnel is there until its requests are answered, ended with: %v", err)
	default:
	}
	close(release)
	if diff := cmp.Diff("older<nil>", <-answer); diff != "" {
		t.Errorf("a request on the older tunnel is not cut off: -want +got:\n%s", diff)
	}
	registry.tunnelsOf("paris", func(tunnel *tunnel) { tunnel.transport.CloseIdleConnections() }) // as they do after a while
	if err := <-olderEnded; !errors.Is(err, ErrReplaced) {
		t.Errorf("the older tunnel ends with its last stream: want %v, got %v", ErrReplaced, err)
	}
	if !registry.Has("paris") {
		t.Error("the end of the older tunnel leaves the newer one alone")
	}
	registry.Disconnect("paris", ErrExpired)
	if err := <-newerEnded; !errors.Is(err, ErrExpired) {
		t.Errorf("the reason is known: want %v, got %v", ErrExpired, err)
	}
}

// tunnelsOf visits the tunnels of a cluster, those that drain included.
func (r *Registry) tunnelsOf(cluster string, visit func(*tunnel)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t, of := range r.all {
		if of == cluster {
			visit(t)
		}
	}
}

func TestIdleTunnelIsReplacedAtOnce(t *testing.T) {
	registry := newRegistry(t)
	older := pipeAgent(t, registry, Peer{Cluster: "paris"}, echo("older"))
	pipeAgent(t, registry, Peer{Cluster: "paris"}, echo("newer"))
	if err := <-older; !errors.Is(err, ErrReplaced) {
		t.Errorf("nothing is waited for: want %v, got %v", ErrReplaced, err)
	}
}

func TestExpiry(t *testing.T) {
	registry := newRegistry(t)
	ended := pipeAgent(t, registry, Peer{Cluster: "paris", Expires: time.Now().Add(500 * time.Millisecond)}, echo(""))
	if err := <-ended; !errors.Is(err, ErrExpired) {
		t.Errorf("a tunnel ends with its certificate: want %v, got %v", ErrExpired, err)
	}
}

func TestShutdown(t *testing.T) {
	registry := newRegistry(t)
	ended := pipeAgent(t, registry, Peer{Cluster: "paris"}, echo(""))
	registry.Close()
	if err := <-ended; !errors.Is(err, ErrShutdown) {
		t.Errorf("tunnels end with the process: want %v, got %v", ErrShutdown, err)
	}
	near, _ := net.Pipe()
	if err := registry.Serve(t.Context(), near, Peer{Cluster: "rome"}); !errors.Is(err, ErrShutdown) {
		t.Errorf("no tunnel is opened any more: want %v, got %v", ErrShutdown, err)
	}
}

func TestAgentsOpenNoStreams(t *testing.T) {
	registry := newRegistry(t)
	near, far := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- registry.Serve(t.Context(), near, Peer{Cluster: "paris"}) }()
	link, err := newLink(far, false, time.Minute, klog.Background(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := link.Open(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrProtocol) {
		t.Errorf("the way is one way: want %v, got %v", ErrProtocol, err)
	}
}

// A stream nobody reads fills its window and waits; all others go on.
func TestBackpressure(t *testing.T) {
	registry := newRegistry(t)
	f := &fleet{Registry: registry}
	const size = 64 << 20
	var sent sync.Map
	pipeAgent(t, registry, Peer{Cluster: "paris"}, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/small" {
			_, _ = fmt.Fprint(w, "small")
			return
		}
		for n := 0; n < size; n += 32 << 10 {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
			sent.Store(req.URL.Path, n)
		}
	}))
	transport, err := registry.Transport("paris")
	if err != nil {
		t.Fatal(err)
	}
	var bodies []io.ReadCloser
	for i := range 5 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://member/large/%d", i), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request) //nolint:bodyclose // closed below
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, response.Body)
	}
	for range 20 {
		if got, err := f.get(t.Context(), "paris", "/small"); got != "small" || err != nil {
			t.Fatalf("streams that nobody reads hold up no other: got %q, %v", got, err)
		}
	}
	sent.Range(func(path, n any) bool {
		if n.(int) > 2<<20 {
			t.Errorf("who writes waits for who reads: %s: %d bytes were taken", path, n)
		}
		return true
	})
	for _, body := range bodies[1:] {
		_ = body.Close()
	}
	if n, err := io.Copy(io.Discard, bodies[0]); n != size || err != nil {
		t.Errorf("and nothing is lost: want %d bytes, got %d, %v", size, n, err)
	}
	_ = bodies[0].Close()
}

// Who goes away ends the request at the member.
func TestClientGoesAway(t *testing.T) {
	registry := newRegistry(t)
	f := &fleet{Registry: registry}
	began, ended := make(chan struct{}), make(chan struct{})
	pipeAgent(t, registry, Peer{Cluster: "paris"}, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		close(began)
		<-req.Context().Done()
		close(ended)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, _ = f.get(ctx, "paris", "/watch") }()
	<-began
	cancel()
	<-ended
}

func TestManyAgentsReconnect(t *testing.T) {
	const agents = 1000
	registry := NewRegistry(clock.RealClock{})
	f := &fleet{Registry: registry}
	var mu sync.Mutex
	conns := make([]net.Conn, agents)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	connect := func() {
		for i := range agents {
			running.Go(func() {
				near, far := net.Pipe()
				mu.Lock()
				conns[i] = far
				mu.Unlock()
				link, err := newLink(far, false, time.Minute, klog.Background(), clock.RealClock{})
				if err != nil {
					t.Error(err)
					return
				}
				agent := &Agent{handler: echo(fmt.Sprint(i)), clock: clock.RealClock{}}
				running.Go(func() { _ = agent.serve(ctx, link) })
				_ = registry.Serve(ctx, near, Peer{Cluster: fmt.Sprint(i)})
			})
		}
	}
	started := time.Now()
	for range 2 {
		connect()
		eventually(t, "all are back", func() bool { return len(registry.Clusters()) == agents })
		var asking sync.WaitGroup
		for i := range agents {
			asking.Go(func() {
				if got, err := f.get(ctx, fmt.Sprint(i), "/"); got != fmt.Sprint(i, "/") || err != nil {
					t.Errorf("cluster %d answers for itself: got %q, %v", i, got, err)
				}
			})
		}
		asking.Wait()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		t.Logf("%d agents, both ends: %s, %d KiB heap and stack per agent, %d goroutines", agents,
			time.Since(started).Round(time.Millisecond), (memory.HeapInuse+memory.StackInuse)/1024/agents, runtime.NumGoroutine())
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close() // the network is gone for all at once
		}
		mu.Unlock()
		eventually(t, "all are gone", func() bool { return len(registry.Clusters()) == 0 })
	}
	cancel()
	registry.Close()
	running.Wait()
}

func TestRenew(t *testing.T) {
	f := newFleet(t)
	agent, _ := startAgent(t, f, "paris", echo(""))
	eventually(t, "connect", func() bool { return f.Has("paris") })
	var before, after *tunnel
	f.tunnelsOf("paris", func(tunnel *tunnel) { before = tunnel })
	agent.Renew()
	eventually(t, "a new tunnel takes the place of the old one", func() bool {
		count := 0
		f.tunnelsOf("paris", func(tunnel *tunnel) { after, count = tunnel, count+1 })
		return count == 1 && after != before
	})
	if got, err := f.get(t.Context(), "paris", "/"); got != "/" || err != nil || !agent.Connected() {
		t.Errorf("the member is there all the time: got %q, %v", got, err)
	}
}
