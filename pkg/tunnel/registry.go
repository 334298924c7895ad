// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// ErrNotConnected says that a cluster has no tunnel to this process.
var ErrNotConnected = errors.New("no tunnel is open")

// Peer describes the agent at the other end of a connection.
type Peer struct {
	// Cluster is the name of the member.
	Cluster string
	// Expires is when the credentials the tunnel was opened with end, and the
	// tunnel with them. Zero is never.
	Expires time.Time
}

// Registry holds the tunnels that are open to this process, at most one for
// each cluster. It is safe for concurrent use.
type Registry struct {
	clock clock.WithTickerAndDelayedExecution

	mu      sync.Mutex
	tunnels map[string]*tunnel // guarded by mu
	all     map[*tunnel]string // guarded by mu; those that drain included
	closed  bool               // guarded by mu
}

// NewRegistry returns an empty registry.
func NewRegistry(clock clock.WithTickerAndDelayedExecution) *Registry {
	registerMetrics()
	return &Registry{clock: clock, tunnels: map[string]*tunnel{}, all: map[*tunnel]string{}}
}

// Serve uses conn as the tunnel of a cluster, in place of an older one, until it
// ends or ctx does, and returns why it ended. It closes conn.
func (r *Registry) Serve(ctx context.Context, conn io.ReadWriteCloser, peer Peer) error {
	logger := klog.FromContext(ctx).WithValues("cluster", peer.Cluster)
	t, err := newTunnel(conn, logger, r.clock)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	older, err := r.add(peer.Cluster, t)
	if err != nil {
		t.link.close(err)
		return err
	}
	defer r.remove(peer.Cluster, t)
	if older != nil {
		older.drain()
	}
	revoked := context.AfterFunc(ctx, func() { t.link.close(ErrRevoked) })
	defer revoked()
	if !peer.Expires.IsZero() {
		timer := r.clock.AfterFunc(peer.Expires.Sub(r.clock.Now()), func() { t.link.close(ErrExpired) })
		defer timer.Stop()
	}
	logger.V(2).Info("Tunnel opened", "replacesOlder", older != nil)
	err = t.serve()
	logger.V(2).Info("Tunnel closed", "reason", err.Error())
	return err
}

func (r *Registry) add(cluster string, t *tunnel) (older *tunnel, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrShutdown
	}
	older = r.tunnels[cluster]
	r.tunnels[cluster], r.all[t] = t, cluster
	openTunnels.Set(float64(len(r.tunnels)))
	return older, nil
}

func (r *Registry) remove(cluster string, t *tunnel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, t)
	if r.tunnels[cluster] == t {
		delete(r.tunnels, cluster)
	}
	openTunnels.Set(float64(len(r.tunnels)))
}

// Transport returns what reaches the member of a cluster: requests of any URL go
// to its agent, in plain HTTP/1.1 inside the tunnel. Upgrades pass. It is good
// until the tunnel ends; get it for each request. It returns ErrNotConnected
// when there is no tunnel.
func (r *Registry) Transport(cluster string) (http.RoundTripper, error) {
	t, err := r.get(cluster)
	if err != nil {
		return nil, err
	}
	return t.transport, nil
}

// DialContext opens a stream to the agent of a cluster, which expects HTTP/1.1 on
// it. It returns ErrNotConnected when there is no tunnel.
func (r *Registry) DialContext(ctx context.Context, cluster string) (net.Conn, error) {
	t, err := r.get(cluster)
	if err != nil {
		return nil, err
	}
	return t.dial(ctx)
}

func (r *Registry) get(cluster string) (*tunnel, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.tunnels[cluster]
	if t == nil {
		return nil, fmt.Errorf("%w for cluster %q", ErrNotConnected, cluster)
	}
	return t, nil
}

// Has says whether a cluster has a tunnel.
func (r *Registry) Has(cluster string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tunnels[cluster] != nil
}

// Clusters returns the clusters with a tunnel, sorted.
func (r *Registry) Clusters() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.tunnels))
}

// Disconnect ends every tunnel of a cluster, with all that runs over it.
func (r *Registry) Disconnect(cluster string, cause error) {
	r.end(cause, func(of string) bool { return of == cluster })
}

// Close ends all tunnels and refuses further ones.
func (r *Registry) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end(ErrShutdown, func(string) bool { return true })
}

// end closes the tunnels of some clusters side by side: saying goodbye on a
// connection may take a while.
func (r *Registry) end(cause error, of func(cluster string) bool) {
	var closing sync.WaitGroup
	r.mu.Lock()
	for t, cluster := range r.all {
		if of(cluster) {
			closing.Go(func() { t.link.close(cause) })
		}
	}
	r.mu.Unlock()
	closing.Wait()
}
