// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"context"
	"net/http"
	"net/url"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/transport"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/cluster"
	registry "fleet.dev/fleet/pkg/registry/cluster/cluster"
	"fleet.dev/fleet/pkg/tunnel"
)

// Members is how requests get to members. Its methods are safe for concurrent
// use; Connect must come first.
type Members struct {
	// Tunnels are those of agents that are connected to this server.
	Tunnels *tunnel.Registry

	clock   clock.PassiveClock
	stopped chan struct{} // closed when the server stops
	stop    func()
	secrets corev1client.SecretsGetter
	peers   *Peers

	mu     sync.Mutex
	pushed map[string]*pushed // guarded by mu; by name of the Cluster
}

var _ registry.Members = &Members{}

// New returns members that cannot be reached before Connect.
func New(clock clock.WithTickerAndDelayedExecution) *Members {
	m := &Members{
		Tunnels: tunnel.NewRegistry(clock),
		clock:   clock,
		stopped: make(chan struct{}),
		pushed:  map[string]*pushed{},
	}
	m.stop = sync.OnceFunc(func() { close(m.stopped) })
	return m
}

// Connect says where credentials are read and, unless peers is nil, who else may
// have tunnels. It must be called before the first request.
func (m *Members) Connect(secrets corev1client.SecretsGetter, peers *Peers) {
	m.secrets, m.peers = secrets, peers
}

// Way implements registry.Members.
func (m *Members) Way(ctx context.Context, member *cluster.Cluster, from user.Info, upgrade bool) (registry.Way, error) {
	if member.Spec.SyncMode == cluster.Push {
		way, err := m.push(ctx, member, upgrade)
		if err != nil {
			return registry.Way{}, registry.Unreachable(member.Name, err.Error())
		}
		return inNameOf(from, way), nil
	}
	if !member.Spec.Accepted {
		return registry.Way{}, registry.Unreachable(member.Name, "it is not accepted yet; an administrator accepts it with \"fleet accept "+member.Name+"\"")
	}
	if through, err := m.Tunnels.Transport(member.Name); err == nil {
		return inNameOf(from, registry.Way{URL: &url.URL{Scheme: "http", Host: member.Name}, Transport: through}), nil
	}
	if m.peers != nil {
		if way, ok := m.peers.way(ctx, member.Name, from, upgrade); ok {
			return way, nil
		}
	}
	return registry.Way{}, registry.Unreachable(member.Name, "its agent is not connected; see that the Deployment fleet-system/fleet-agent runs in the member and can reach the fleet")
}

// inNameOf makes requests impersonate a user.
func inNameOf(from user.Info, way registry.Way) registry.Way {
	way.Transport = transport.NewImpersonatingRoundTripper(transport.ImpersonationConfig{
		UserName: from.GetName(), UID: from.GetUID(), Groups: from.GetGroups(), Extra: from.GetExtra(),
	}, way.Transport)
	return way
}

// Until implements registry.Members.
func (m *Members) Until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-m.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Run closes all tunnels and ends all proxied requests when ctx ends.
func (m *Members) Run(ctx context.Context) {
	<-ctx.Done()
	m.stop()
	m.Tunnels.Close()
}

// version of a Cluster that a connection was made for.
type version struct {
	uid        types.UID
	generation int64
}

func versionOf(obj metav1.Object) version {
	return version{obj.GetUID(), obj.GetGeneration()}
}

// closeIdle closes connections that nobody uses.
func closeIdle(transports ...http.RoundTripper) {
	for _, t := range transports {
		if closer, ok := t.(interface{ CloseIdleConnections() }); ok {
			closer.CloseIdleConnections()
		}
	}
}
