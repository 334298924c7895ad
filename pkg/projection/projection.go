// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	cacherstorage "k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

const (
	// defaultPatience bounds how long a list waits for members to be read for the
	// first time.
	defaultPatience = 2 * time.Second
	// defaultIdleAfter is how long members are followed after the last request for
	// their objects.
	defaultIdleAfter = 10 * time.Minute
	// defaultMaxBackoff bounds how long a member that fails is left alone.
	defaultMaxBackoff = 15 * time.Second
)

// Options of Projections.
type Options struct {
	// Kinds are shown, each in place of the storage of its resource.
	Kinds []Kind
	// Members are whose objects are shown.
	Members Members
	// Owners knows the fleet's objects behind those of members; NoOwners by default.
	Owners Owners
	// Await returns once Members tell of all members, and what kinds ask is known. No
	// member is followed before. Nil is at once.
	Await func(context.Context) error
	// FleetID returns what is on everything the fleet put into members, empty as long as
	// that is not known. By default it never is, and of what Kinds have to Confirm nothing
	// is changed.
	FleetID func() string
	// Server is the number of this server among those over one etcd, 1 to MaxServer.
	// While it has the number, no other server may.
	Server uint64
	// Bump makes any write to etcd, so that its revision grows: at the start, for
	// resource versions never to be given twice, and when there are many changes in
	// members under one revision.
	Bump func(context.Context) error
	// Patience bounds how long a request waits for members that were not read yet; 2 s
	// by default.
	Patience time.Duration
	// IdleAfter is how long members are followed after the last request for their
	// objects; 10 min by default.
	IdleAfter time.Duration
	// MaxBackoff bounds how long a member is left alone after requests to it failed;
	// 15 s by default.
	MaxBackoff time.Duration
	// Clock is the time; the real one by default.
	Clock clock.Clock
}

// Projections shows objects of members among those stored in the fleet.
type Projections struct {
	options Options

	mu       sync.Mutex
	surfaces []*surface // guarded by mu

	beginning sync.Mutex // one bump for all kinds at the start
	begun     bool       // guarded by beginning
}

// New returns projections that serve nothing before Run.
func New(options Options) (*Projections, error) {
	if options.Server < 1 || options.Server > MaxServer {
		return nil, fmt.Errorf("number the server: %d is not in 1 to %d", options.Server, MaxServer)
	}
	if options.Owners == nil {
		options.Owners = NoOwners{}
	}
	if options.Patience == 0 {
		options.Patience = defaultPatience
	}
	if options.IdleAfter == 0 {
		options.IdleAfter = defaultIdleAfter
	}
	if options.MaxBackoff == 0 {
		options.MaxBackoff = defaultMaxBackoff
	}
	if options.Await == nil {
		options.Await = func(context.Context) error { return nil }
	}
	if options.FleetID == nil {
		options.FleetID = func() string { return "" }
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	registerMetrics()
	return &Projections{options: options}, nil
}

// Wrap returns a getter whose options make the storage of projected kinds that of
// the projections; all others stay what the wrapped getter makes them.
func (p *Projections) Wrap(getter generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return &wrappedGetter{projections: p, getter: getter}
}

type wrappedGetter struct {
	projections *Projections
	getter      generic.RESTOptionsGetter
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g *wrappedGetter) GetRESTOptions(groupResource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.getter.GetRESTOptions(groupResource, example)
	if err != nil {
		return options, err
	}
	for i := range g.projections.options.Kinds {
		if kind := &g.projections.options.Kinds[i]; kind.Resource.GroupResource() == groupResource {
			options.Decorator = g.projections.decorator(kind)
		}
	}
	return options, nil
}

// decorator is what generic registry's StorageWithCacher is, over a union instead
// of etcd alone.
func (p *Projections) decorator(kind *Kind) generic.StorageDecorator {
	return func(
		config *storagebackend.ConfigForResource,
		resourcePrefix string,
		keyFunc func(obj runtime.Object) (string, error),
		newFunc func() runtime.Object,
		newListFunc func() runtime.Object,
		getAttrsFunc storage.AttrFunc,
		trigger storage.IndexerFuncs,
		indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		raw, destroyRaw, err := generic.NewRawStorage(config, newFunc, newListFunc, resourcePrefix)
		if err != nil {
			return nil, nil, err
		}
		server := func() uint64 { return p.options.Server }
		s := newSurface(kind, &p.options)
		s.begin = p.begin
		s.follower = &follower{raw: raw, prefix: resourcePrefix, newListFunc: newListFunc, union: s.union, server: server}
		united := &unionStorage{
			stored: &stored{raw: raw, server: server}, union: s.union, prefix: resourcePrefix, newFunc: newFunc,
			members: &writer{kind: kind, members: p.options.Members, union: s.union, reserve: s.reserve, fleetID: p.options.FleetID},
		}
		cacher, err := cacherstorage.NewCacherFromConfig(cacherstorage.Config{
			Storage:             united,
			Versioner:           storage.APIObjectVersioner{},
			GroupResource:       config.GroupResource,
			EventsHistoryWindow: config.EventsHistoryWindow,
			ResourcePrefix:      resourcePrefix,
			KeyFunc:             keyFunc,
			NewFunc:             newFunc,
			NewListFunc:         newListFunc,
			GetAttrsFunc:        getAttrsFunc,
			IndexerFuncs:        trigger,
			Indexers:            indexers,
			Codec:               config.Codec,
		})
		if err != nil {
			destroyRaw()
			return nil, nil, fmt.Errorf("create cacher of %s: %w", config.GroupResource, err)
		}
		delegator := cacherstorage.NewCacheDelegator(cacher, united)
		p.mu.Lock()
		p.surfaces = append(p.surfaces, s)
		p.mu.Unlock()
		destroy := sync.OnceFunc(func() {
			delegator.Stop()
			cacher.Stop()
			destroyRaw()
		})
		return &served{Interface: delegator, surface: s, storage: united}, destroy, nil
	}
}

// begin writes to etcd, unless that was done since the start.
func (p *Projections) begin(ctx context.Context) error {
	p.beginning.Lock()
	defer p.beginning.Unlock()
	if p.begun {
		return nil
	}
	if err := p.options.Bump(ctx); err != nil {
		return err
	}
	p.begun = true
	return nil
}

// Run follows etcd and members until the context ends. It is called once, after
// all API groups are installed.
func (p *Projections) Run(ctx context.Context) error {
	p.mu.Lock()
	var running sync.WaitGroup
	for _, s := range p.surfaces {
		running.Go(func() { s.run(ctx) })
	}
	p.mu.Unlock()
	running.Wait()
	return nil
}

// Ready returns nil once everything stored is served.
func (p *Projections) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.surfaces {
		position, _, err := s.union.ledger.State()
		if err != nil {
			return err
		}
		if position == 0 {
			return fmt.Errorf("%s are not loaded yet", s.kind.Resource.Resource)
		}
	}
	return nil
}
