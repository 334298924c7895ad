// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/transport"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	registry "fleet.dev/fleet/pkg/registry/cluster/cluster"
	"fleet.dev/fleet/pkg/tunnel"
)

const (
	// TunnelsPath is where a server tells its peers which clusters have a tunnel to
	// it. Only administrators and peers may read it.
	TunnelsPath = "/fleet/tunnels"
	// forwardedHeader marks a request that a peer passed on: it goes no further.
	forwardedHeader = "X-Fleet-Forwarded"

	// askAgainAfter is how old the peers' answers must be before they are asked
	// again for a cluster that none had.
	askAgainAfter = time.Second
	// trustFor is how long a peer is believed to have the tunnels it said it has.
	trustFor = 10 * time.Second
	// askTimeout bounds one round of questions.
	askTimeout = 3 * time.Second
	// leaseAge is how long ago a peer that is alive may have renewed its lease: it
	// does so every ten seconds. The lease itself lasts an hour.
	leaseAge = time.Minute
	// maxAnswer is how long an answer may be: names of some 100,000 clusters.
	maxAnswer = 8 << 20

	// identitySelector selects the leases of API servers.
	identitySelector = "apiserver.kubernetes.io/identity=kube-apiserver"
)

// PeersOptions describe this server and how it reaches others over the same etcd.
type PeersOptions struct {
	// Self is the identity of this server, the name of its lease.
	Self string
	// Leases are read to find peers: their identity leases have an address.
	Leases coordinationv1client.LeasesGetter
	// Plain and Upgrade carry requests to peers with the certificate of the front
	// proxy; Upgrade speaks HTTP/1.1 only.
	Plain, Upgrade http.RoundTripper
	// Clock is the time.
	Clock clock.PassiveClock
}

// Peers finds the API server that has the tunnel of a cluster.
type Peers struct {
	PeersOptions

	mu    sync.Mutex
	asked time.Time         // guarded by mu
	has   map[string]string // guarded by mu; cluster → host:port
}

// NewPeers returns peers that have not been asked yet.
func NewPeers(opts PeersOptions) *Peers { return &Peers{PeersOptions: opts} }

// way returns the way to a member through the peer that has its tunnel. A request
// that came from a peer goes no further, so peers that are wrong about each other
// do not play ball with it.
func (p *Peers) way(ctx context.Context, name string, from user.Info, upgrade bool) (registry.Way, bool) {
	if forwarded(ctx) {
		return registry.Way{}, false
	}
	address, ok := p.find(ctx, name)
	if !ok {
		return registry.Way{}, false
	}
	carrier := p.Plain
	if upgrade {
		carrier = p.Upgrade
	}
	return registry.Way{
		URL: &url.URL{Scheme: "https", Host: address, Path: "/apis/" + clusterv1alpha1.SchemeGroupVersion.String() + "/clusters/" + name + "/proxy"},
		Transport: &forwarding{
			base: transport.NewAuthProxyRoundTripper(from.GetName(), from.GetUID(), from.GetGroups(), from.GetExtra(), carrier),
			self: p.Self,
			lost: func() { p.forget(name, address) },
		},
	}, true
}

// find returns the address of the peer with the tunnel of a cluster.
func (p *Peers) find(ctx context.Context, name string) (string, bool) {
	address, age := p.known(name)
	if address != "" && age < trustFor || address == "" && age < askAgainAfter {
		return address, address != ""
	}
	p.ask(ctx)
	address, _ = p.known(name)
	return address, address != ""
}

func (p *Peers) known(name string) (address string, age time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.has[name], p.Clock.Since(p.asked)
}

// forget drops an answer that proved wrong, so that peers are asked again.
func (p *Peers) forget(name, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.has[name] == address {
		delete(p.has, name)
		p.asked = time.Time{}
	}
}

// ask asks all peers which tunnels they have. One that does not answer has none.
func (p *Peers) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	logger := klog.FromContext(ctx)
	addresses, err := p.addresses(ctx)
	if err != nil {
		logger.Error(err, "Other API servers cannot be found")
		return
	}
	answers := make([][]string, len(addresses))
	var asking sync.WaitGroup
	for i, address := range addresses {
		asking.Go(func() {
			var err error
			if answers[i], err = p.askOne(ctx, address); err != nil {
				logger.V(2).Info("Another API server does not answer", "address", address, "reason", err.Error())
			}
		})
	}
	asking.Wait()
	has := map[string]string{}
	for i, clusters := range answers {
		for _, cluster := range clusters {
			has[cluster] = addresses[i]
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.has, p.asked = has, p.Clock.Now()
}

// addresses are those of the peers that are alive, in the order of their names.
func (p *Peers) addresses(ctx context.Context) ([]string, error) {
	leases, err := p.Leases.Leases(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: identitySelector, ResourceVersion: "0"})
	if err != nil {
		return nil, fmt.Errorf("list leases of API servers: %w", err)
	}
	var found []string
	for _, lease := range leases.Items {
		address := lease.Annotations[corev1.AnnotationPeerAdvertiseAddress]
		if lease.Name != p.Self && address != "" && !p.expired(&lease) && !slices.Contains(found, address) {
			found = append(found, address)
		}
	}
	return found, nil
}

func (p *Peers) expired(lease *coordinationv1.Lease) bool {
	return lease.Spec.RenewTime == nil || p.Clock.Since(lease.Spec.RenewTime.Time) > leaseAge
}

// askOne asks a peer as what it is to itself: the API server.
func (p *Peers) askOne(ctx context.Context, address string) (clusters []string, err error) {
	location := url.URL{Scheme: "https", Host: address, Path: TunnelsPath}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
	if err != nil {
		return nil, err
	}
	as := transport.NewAuthProxyRoundTripper(user.APIServerUser, "", []string{user.SystemPrivilegedGroup}, nil, p.Plain)
	response, err := as.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for tunnels: %s", response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&clusters); err != nil {
		return nil, fmt.Errorf("read tunnels: %w", err)
	}
	return clusters, nil
}

// TunnelsHandler answers peers, at TunnelsPath.
func TunnelsHandler(tunnels *tunnel.Registry) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(tunnels.Clusters()) // the peer is gone
	})
}

// forwarding marks requests and gives notice when the peer turns out not to have
// the tunnel.
type forwarding struct {
	base http.RoundTripper
	self string
	lost func()
}

// RoundTrip implements http.RoundTripper.
func (f *forwarding) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set(forwardedHeader, f.self)
	response, err := f.base.RoundTrip(req)
	if err != nil || response.StatusCode == http.StatusServiceUnavailable {
		f.lost()
	}
	return response, err
}

type forwardedKey struct{}

// WithForwarded wraps the handler of a whole server: it notes which requests a
// peer passed on.
func WithForwarded(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get(forwardedHeader) != "" {
			req = req.WithContext(context.WithValue(req.Context(), forwardedKey{}, true))
		}
		handler.ServeHTTP(w, req)
	})
}

func forwarded(ctx context.Context) bool { return ctx.Value(forwardedKey{}) != nil }
