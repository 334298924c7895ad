// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
)

const (
	// dialTimeout bounds opening a TCP connection to a member.
	dialTimeout = 5 * time.Second
	// discoveryTimeout bounds one request for discovery or a schema; the
	// discovery client takes no context.
	discoveryTimeout = 20 * time.Second
	// userAgent is what members see of the fleet.
	userAgent = "fleet-syncer"
)

// ErrMoved says that the member is to be reached in another way than when the
// connection was made: connect again.
var ErrMoved = errors.New("member is reached in another way now")

// Connection is one member as those who work on its objects see it. It is safe
// for concurrent use.
type Connection interface { //nolint:interfacebloat // a test double stands in for all of it
	// Objects reads and writes objects of any kind.
	Objects() dynamic.Interface
	// Metadata reads the metadata of objects of any kind.
	Metadata() metadata.Interface
	// Core reads nodes, Pods and namespaces, cheaper than Objects.
	Core() corev1client.CoreV1Interface
	// APIs returns what the member serves as far as known; it is empty until
	// discovery succeeded once, and never becomes empty again.
	APIs() *APIs
	// Look asks the member what it serves now, past what is known. Versions whose
	// discovery fails are not among it, and make it incomplete.
	Look() (*APIs, error)
	// Defines asks the member whether it may have objects of a kind that it does not
	// serve: there is a definition of the kind, or a backend for its group that does
	// not answer.
	Defines(ctx context.Context, kind schema.GroupKind) (bool, error)
	// Schema returns the fields of kind as the member knows them. Kinds without a
	// published schema get one that takes every list for a single value.
	Schema(ctx context.Context, kind schema.GroupVersionKind) (*Schema, error)
	// Refresh asks for a new look at the member's APIs, because something was not
	// found there. It does not wait for it; see Options.APIsChanged.
	Refresh()
	// Health returns how the member is, and a channel that is closed when that
	// changes.
	Health() (Health, <-chan struct{})
	// Follow keeps store equal to what lw returns until ctx ends. While the
	// member is lost it rests.
	Follow(ctx context.Context, what string, lw cache.ListerWatcher, store cache.ReflectorStore)
}

// Options are what a connection is made of.
type Options struct {
	// Name of the Cluster.
	Name string
	// ID is the uid the member's kube-system namespace has to have. Empty accepts
	// any.
	ID string
	// Access says how to reach the member.
	Access Access
	// Catalog is shared by all members of the process.
	Catalog *Catalog
	// Clock is the real one except in tests.
	Clock clock.WithTicker
	// APIsChanged is called after APIs returns something else. It must not block.
	// Optional.
	APIsChanged func()
}

// Member is a Connection to a real member.
type Member struct {
	name    string
	id      string
	access  Access
	catalog *Catalog
	clock   clock.WithTicker

	route     string
	transport *transport
	dialer    *connrotation.Dialer

	objects   dynamic.Interface
	core      corev1client.CoreV1Interface
	metadata  metadata.Interface
	discovery *discovery.DiscoveryClient

	link        connectivity
	health      healthBox
	apis        atomic.Pointer[APIs]
	apisChanged func()
	documents   documents

	// renewAsked is true when the credentials are to be read again.
	renewAsked atomic.Bool
	// probeNow and refreshNow are bells: ringing one that has not been heard yet
	// is the same as ringing once.
	probeNow   bell
	refreshNow bell
	pace       flowcontrol.RateLimiter
}

var _ Connection = &Member{}

// Connect prepares a connection. It asks Options.Access, but not the member;
// nothing happens before Run.
func Connect(ctx context.Context, options Options) (*Member, error) {
	config, err := options.Access(ctx)
	if err != nil {
		return nil, fmt.Errorf("find access to member %q: %w", options.Name, err)
	}
	m := &Member{
		name:        options.Name,
		id:          options.ID,
		access:      options.Access,
		catalog:     options.Catalog,
		clock:       options.Clock,
		apisChanged: options.APIsChanged,
		probeNow:    newBell(),
		refreshNow:  newBell(),
		// Looking at a member's APIs costs it little. The limit is against an
		// aggregated API that comes and goes all the time.
		pace: flowcontrol.NewTokenBucketRateLimiter(0.5, 10),
	}
	m.apis.Store(&APIs{})
	m.health.init()
	if m.route, err = route(config); err != nil {
		return nil, err
	}
	if err := m.buildClients(config); err != nil {
		return nil, fmt.Errorf("make clients for member %q: %w", options.Name, err)
	}
	return m, nil
}

func (m *Member) buildClients(config *rest.Config) error {
	config = rest.CopyConfig(config)
	config.UserAgent = userAgent
	// The member's own priority and fairness is the limit, and the number of
	// workers per member.
	config.QPS = -1
	m.transport = &transport{failed: m.probeNow.ring}
	token := config.BearerToken
	m.transport.token.Store(&token)
	config.BearerToken, config.BearerTokenFile = "", ""
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		m.transport.base = rt
		return m.transport
	})
	dial := config.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}).DialContext
	}
	// A dialer of its own gives each member its own connections, which can be cut
	// when they lead nowhere.
	m.dialer = connrotation.NewDialer(dial)
	config.Dial = m.dialer.DialContext

	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	if m.objects, err = dynamic.NewForConfigAndClient(config, httpClient); err != nil {
		return err
	}
	if m.metadata, err = metadata.NewForConfigAndClient(config, httpClient); err != nil {
		return err
	}
	protobuf := rest.CopyConfig(config)
	protobuf.ContentType = "application/vnd.kubernetes.protobuf"
	protobuf.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	if m.core, err = corev1client.NewForConfigAndClient(protobuf, httpClient); err != nil {
		return err
	}
	bounded := &http.Client{Transport: httpClient.Transport, Timeout: discoveryTimeout}
	m.discovery, err = discovery.NewDiscoveryClientForConfigAndClient(config, bounded)
	return err
}

// Run keeps health and APIs up to date until ctx ends, or until the member is to
// be reached in another way; then it returns ErrMoved.
func (m *Member) Run(ctx context.Context) error {
	defer m.dialer.CloseAll()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.probeLoop(ctx) })
	group.Go(func() error { m.discoverLoop(ctx); return nil })
	for _, resource := range apiResources {
		group.Go(func() error { m.followAPIs(ctx, resource); return nil })
	}
	return group.Wait()
}

// Objects implements Connection.
func (m *Member) Objects() dynamic.Interface { return m.objects }

// Core implements Connection.
func (m *Member) Core() corev1client.CoreV1Interface { return m.core }

// APIs implements Connection.
func (m *Member) APIs() *APIs { return m.apis.Load() }

// Refresh implements Connection.
func (m *Member) Refresh() { m.refreshNow.ring() }

// Renew has the credentials read again soon, because they have changed.
func (m *Member) Renew() {
	m.renewAsked.Store(true)
	m.probeNow.ring()
}

// Health implements Connection.
func (m *Member) Health() (Health, <-chan struct{}) { return m.health.get() }

// bell wakes one goroutine.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
