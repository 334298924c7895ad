// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clientcache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
	"fleet.dev/fleet/pkg/interpreter/builtin"
	"fleet.dev/fleet/pkg/interpreter/store"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/cache"
	"fleet.dev/fleet/pkg/scheduler/config"
	"fleet.dev/fleet/pkg/scheduler/dependency"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins"
	"fleet.dev/fleet/pkg/scheduler/framework/runtime"
	"fleet.dev/fleet/pkg/scheduler/metrics"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/queue"
	"fleet.dev/fleet/pkg/scheduler/relief"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/strategy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// component is the name of the scheduler in events and user agents.
const component = "fleet-scheduler"

// Config is what a Scheduler is made from.
type Config struct {
	// FleetConfig reaches the fleet. Required. Without a limit of its own requests
	// are not limited here: the API server's priority and fairness does that.
	FleetConfig *rest.Config
	// Configuration of the scheduler. Nil is the default.
	Configuration *config.SchedulerConfiguration
	// Plugins that are not built in. Their names must differ from those that are.
	Plugins runtime.Registry
	// Clock for backoff and promises. Nil is the real one.
	Clock clock.WithTicker
}

// Scheduler keeps a binding for every template.
type Scheduler struct {
	clock     clock.WithTicker
	profiles  map[string]*runtime.Framework
	cache     *cache.Cache
	queue     *queue.Queue
	policies  *policy.Propagations
	overrides *policy.Overrides
	mounts    mounts
	groups    *groups
	needs     *dependency.Index
	unsure    *unsure
	changes   *changes

	preemptions *preemptions
	relief      *relief.Ledger
	ahead       *ahead
	// pendingGrace is how long Pods find no node before their replicas may leave.
	pendingGrace time.Duration
	choices      *prepared[policyv1alpha1.Propagation, *strategy.Choice]
	targets      *prepared[policyv1alpha1.Override, []*affinity.Affinity]

	templates templates
	bindings  bindingClient
	members   memberReader
	recorder  events.EventRecorder

	// commits bounds the writes in flight.
	commits  chan struct{}
	inFlight sync.WaitGroup
	// failing holds the keys of templates that cannot be placed, for the gauge.
	failing sync.Map

	source          *source.Source
	interpretations *store.Store
	informers       fleetinformers.SharedInformerFactory
	broadcaster     events.EventBroadcaster
	ready           chan struct{}
}

// New makes a scheduler that has not contacted the fleet yet. It fails on a
// configuration that makes no sense.
func New(c Config) (*Scheduler, error) {
	s, err := newScheduler(c)
	if err != nil {
		return nil, err
	}
	restConfig := clientConfig(c.FleetConfig)
	httpClient, err := rest.HTTPClientFor(restConfig)
	if err != nil {
		return nil, fmt.Errorf("make scheduler: %w", err)
	}
	if err := s.connect(restConfig, httpClient); err != nil {
		return nil, fmt.Errorf("make scheduler: %w", err)
	}
	return s, nil
}

func clientConfig(from *rest.Config) *rest.Config {
	c := rest.AddUserAgent(rest.CopyConfig(from), component)
	// Templates of deprecated kinds are watched too; warnings help nobody here.
	c.WarningHandler = rest.NoWarnings{}
	if c.QPS == 0 && c.RateLimiter == nil {
		c.QPS = -1
	}
	return c
}

// newScheduler makes everything that needs no connection.
func newScheduler(c Config) (*Scheduler, error) {
	if c.Configuration == nil {
		c.Configuration = config.Default()
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	metrics.Register()
	s := &Scheduler{
		clock:     c.Clock,
		profiles:  map[string]*runtime.Framework{},
		cache:     cache.New(c.Clock, c.Configuration.PromiseLifetime.Duration),
		policies:  policy.NewPropagations(),
		overrides: policy.NewOverrides(),
		mounts:    newMounts(),
		groups:    newGroups(),
		changes:   newChanges(),
		unsure:    newUnsure(),

		preemptions: newPreemptions(),
		choices:     newPrepared(choiceOf),
		targets:     newPrepared(targetsOf),
		relief:      relief.NewLedger(c.Clock.Now()),
		ahead:       newAhead(),
		commits:     make(chan struct{}, c.Configuration.Parallelism),
		ready:       make(chan struct{}),
	}
	s.pendingGrace = c.Configuration.PendingGracePeriod.Duration
	s.needs = dependency.New(known{s})
	s.queue = queue.New(queue.Config{
		Name:           "scheduler",
		InitialBackoff: c.Configuration.InitialBackoff.Duration,
		MaxBackoff:     c.Configuration.MaxBackoff.Duration,
		Priority:       s.priority,
		Clock:          c.Clock,
	})
	registry := plugins.NewRegistry()
	if err := registry.Merge(c.Plugins); err != nil {
		return nil, err
	}
	for _, profile := range c.Configuration.Profiles {
		made, err := runtime.New(registry, profile.Resolve(), s.cache)
		if err != nil {
			return nil, err
		}
		s.profiles[profile.SchedulerName] = made
	}
	return s, nil
}

// connect makes the clients and informers.
func (s *Scheduler) connect(restConfig *rest.Config, httpClient *http.Client) error {
	fleet, err := fleetclient.NewForConfigAndClient(restConfig, httpClient)
	if err != nil {
		return err
	}
	kube, err := kubernetes.NewForConfigAndClient(restConfig, httpClient)
	if err != nil {
		return err
	}
	customizations, err := builtin.Customizations()
	if err != nil {
		return err
	}
	s.interpretations = store.New(customizations)
	s.source, err = source.New(source.Config{
		REST: restConfig, HTTPClient: httpClient, Handler: s, Clock: s.clock, Interpretations: s.interpretations,
		Placed: func(key template.Key) bool { return s.cache.Binding(key) != nil },
	})
	if err != nil {
		return err
	}
	s.templates = s.source
	s.bindings = fleetBindings{client: fleet.WorkV1alpha1()}
	s.members = fleet.ClusterV1alpha1().Clusters()
	s.broadcaster = events.NewBroadcaster(&events.EventSinkImpl{Interface: kube.EventsV1()})
	s.recorder = s.broadcaster.NewRecorder(clientscheme.Scheme, component)
	s.informers = fleetinformers.NewSharedInformerFactoryWithOptions(fleet, 0, fleetinformers.WithTransform(cache.Trim))
	return nil
}

// Ready reports whether the scheduler has learned all there is and decides.
func (s *Scheduler) Ready() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// Run decides until ctx ends; it runs once. It returns after what was being written is, or
// with an error when it could not start.
func (s *Scheduler) Run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	if err := s.broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return fmt.Errorf("record events: %w", err)
	}
	defer s.broadcaster.Shutdown()

	// 1. Members, policies and bindings, before any template can be decided about.
	synced, err := s.watch(ctx)
	if err != nil {
		return err
	}
	s.informers.StartWithContext(ctx)
	defer s.informers.Shutdown()
	if !clientcache.WaitForNamedCacheSyncWithContext(ctx, synced...) {
		return nil
	}

	// 2. Templates.
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		s.source.Run(ctx, func() {
			logger.Info("Scheduling", "members", len(s.cache.Members()), "queued", s.queue.Len())
			close(s.ready)
		})
	})
	select {
	case <-ctx.Done():
		return nil
	case <-s.ready:
	}

	// 3. Decide.
	running.Go(func() { s.observe(ctx) })
	running.Go(func() {
		for ctx.Err() == nil && s.scheduleOne(ctx) {
		}
	})
	<-ctx.Done()
	s.queue.ShutDown()
	running.Wait()
	s.inFlight.Wait()
	return nil
}

// observe keeps the gauges.
func (s *Scheduler) observe(ctx context.Context) {
	ticker := s.clock.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		metrics.Waiting.Set(float64(s.queue.Waiting()))
		failing := 0
		s.failing.Range(func(any, any) bool { failing++; return true })
		metrics.Unschedulables.Set(float64(failing))
	}
}

// priority of a template among those that wait: that of its binding, but what
// others wait for goes first.
func (s *Scheduler) priority(key template.Key) int32 {
	if s.ahead.has(key) {
		return first
	}
	binding := s.cache.Binding(key)
	if binding == nil || binding.GetSpec().SchedulePriority == nil {
		return 0
	}
	return binding.GetSpec().SchedulePriority.Priority
}
