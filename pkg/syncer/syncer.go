// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/wait"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/pkg/interpreter/builtin"
	"fleet.dev/fleet/pkg/interpreter/store"
	"fleet.dev/fleet/pkg/member"
)

// DefaultWorkers is how many works of one member are looked at together, unless
// Config says otherwise.
const DefaultWorkers = 16

// Config is what a Syncer is made of.
type Config struct {
	// FleetConfig reaches the fleet's API server as a user that may read the
	// Clusters of Members and their works, and write feedback, leases and the
	// status of these Clusters; in Push mode also the Secrets Clusters refer to.
	// Required.
	FleetConfig *rest.Config
	// Members are the members this syncer serves. Required.
	Members Members
	// Rotation says when the tokens of members in Push mode are replaced. The zero
	// value is never.
	Rotation Rotation
	// Observer is told about the Clusters this syncer sees. Optional.
	Observer Observer
	// Workers is how many works of one member are looked at together. 0 means
	// DefaultWorkers.
	Workers int
	// Clock is the real one when nil.
	Clock clock.WithTicker
}

// Syncer serves members: for each it keeps a session that carries works there and
// feedback back.
type Syncer struct {
	config   Config
	clock    clock.WithTicker
	identity string
	catalog  *member.Catalog

	fleet           versioned.Interface
	customizations  *mirror[*configv1alpha1.ResourceInterpreterCustomization]
	interpretations *store.Store
	core            corev1client.CoreV1Interface
	leases          coordinationv1client.LeasesGetter
	clusters        *clusters

	queue   workqueue.TypedInterface[string]
	running map[string]*running // used by the one worker only
	serving sync.WaitGroup

	mu      sync.Mutex
	changed map[string]func() // told that a Cluster changed, by its name
	// carriers are told that kinds are read otherwise, by the name of the Cluster.
	carriers map[string]*session
}

// running is a session of a member.
type running struct {
	access string // what the session depends on; another one needs another session
	stop   context.CancelFunc
	done   chan struct{}
	// gone is set before stop when the Cluster does not exist any more.
	gone atomic.Bool
}

// New prepares a Syncer; nothing happens before Run.
func New(config Config) (*Syncer, error) {
	if config.FleetConfig == nil {
		return nil, errors.New("make syncer: no configuration for the fleet's API server")
	}
	if config.Members.serves == nil {
		return nil, errors.New("make syncer: no members to serve")
	}
	if err := config.Rotation.Validate(); err != nil {
		return nil, fmt.Errorf("make syncer: %w", err)
	}
	registerMetrics()
	s := &Syncer{
		config:  config,
		clock:   config.Clock,
		catalog: &member.Catalog{},
		queue:   workqueue.NewTyped[string](),
		running: map[string]*running{},
		changed: map[string]func(){},

		carriers: map[string]*session{},
	}
	customizations, err := builtin.Customizations()
	if err != nil {
		return nil, fmt.Errorf("make syncer: %w", err)
	}
	s.interpretations = store.New(customizations)
	s.interpretations.Listen(store.Listener{Rules: memberRules, Changed: s.interpretationsChanged})
	s.customizations = newMirror(cutCustomization, s.customizationChanged, func() {})
	if s.clock == nil {
		s.clock = clock.RealClock{}
	}
	s.clusters = newClusters(config.Members.watched, config.Observer, s.clusterChanged)
	if s.config.Workers == 0 {
		s.config.Workers = DefaultWorkers
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("find name of this host: %w", err)
	}
	s.identity = host + "_" + string(uuid.NewUUID())
	if err := s.buildClients(); err != nil {
		return nil, fmt.Errorf("make clients for the fleet: %w", err)
	}
	return s, nil
}

func (s *Syncer) buildClients() error {
	config := rest.CopyConfig(s.config.FleetConfig)
	config.UserAgent = "fleet-syncer"
	// The fleet's priority and fairness is the limit; there is one feedback
	// request per member at a time.
	config.QPS = -1
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	if s.fleet, err = versioned.NewForConfigAndClient(config, httpClient); err != nil {
		return err
	}
	if s.core, err = corev1client.NewForConfigAndClient(config, httpClient); err != nil {
		return err
	}
	if s.leases, err = coordinationv1client.NewForConfigAndClient(config, httpClient); err != nil {
		return err
	}
	return nil
}

// clusterChanged has the session of a member checked.
func (s *Syncer) clusterChanged(name string) {
	s.queue.Add(name)
	s.mu.Lock()
	changed := s.changed[name]
	s.mu.Unlock()
	if changed != nil {
		changed()
	}
}

// Run serves the members until ctx ends, and returns when every session has
// ended.
func (s *Syncer) Run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	fleetID, err := s.awaitFleetID(ctx)
	if err != nil {
		return err
	}
	var mirroring sync.WaitGroup
	defer mirroring.Wait()
	mirroring.Go(func() { s.clusters.run(ctx, s.fleet, s.clock) })
	mirroring.Go(func() { s.followCustomizations(ctx) })
	select {
	case <-ctx.Done():
		return nil
	case <-s.clusters.synced:
	}
	logger.Info("Syncer started", "fleetID", fleetID)
	defer context.AfterFunc(ctx, s.queue.ShutDown)()
	for {
		name, shutdown := s.queue.Get()
		if shutdown {
			break
		}
		s.check(ctx, name, fleetID)
		s.queue.Done(name)
	}
	s.serving.Wait()
	return nil
}

// awaitFleetID reads the id of the fleet, the uid of its kube-system namespace,
// as soon as the fleet's API server answers.
func (s *Syncer) awaitFleetID(ctx context.Context) (string, error) {
	var id, reason string
	delay := wait.Backoff{Duration: time.Second, Cap: 15 * time.Second, Steps: 10, Factor: 1.5, Jitter: 0.5}.DelayFunc()
	err := delay.Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		system, err := s.core.Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
		if err != nil {
			if reason != err.Error() {
				reason = err.Error()
				klog.FromContext(ctx).Info("Waiting for the fleet to say who it is", "reason", reason)
			}
			return false, nil
		}
		id = string(system.UID)
		return true, nil
	})
	if err != nil && ctx.Err() == nil {
		return "", fmt.Errorf("read the id of the fleet: %w", err)
	}
	return id, nil
}

// check starts, replaces or ends the session of one member.
func (s *Syncer) check(ctx context.Context, name, fleetID string) {
	cluster, err := s.clusters.named(name)
	wanted := err == nil && s.config.Members.serves(cluster)
	access := ""
	if wanted {
		access = fmt.Sprintf("%s %q %s", cluster.UID, cluster.Spec.ID, s.config.Members.route(cluster))
	}
	current := s.running[name]
	switch {
	case current == nil && wanted:
		s.start(ctx, name, fleetID, access)
	case current != nil && (!wanted || current.access != access):
		current.gone.Store(apierrors.IsNotFound(err))
		current.stop()
		delete(s.running, name)
		if wanted {
			// The next one starts when this one has ended, without waiting here.
			s.startAfter(ctx, name, fleetID, access, current.done)
		} else {
			klog.FromContext(ctx).V(2).Info("Ended session of member", "cluster", name)
		}
	}
	sessions.Set(float64(len(s.running)))
}

func (s *Syncer) start(ctx context.Context, name, fleetID, access string) {
	ended := make(chan struct{})
	close(ended)
	s.startAfter(ctx, name, fleetID, access, ended)
}

func (s *Syncer) startAfter(ctx context.Context, name, fleetID, access string, previous <-chan struct{}) {
	logger := klog.FromContext(ctx).WithValues("cluster", name)
	ctx, stop := context.WithCancel(klog.NewContext(ctx, logger))
	next := &running{access: access, stop: stop, done: make(chan struct{})}
	s.running[name] = next
	s.serving.Go(func() {
		defer close(next.done)
		defer stop()
		<-previous
		s.serve(ctx, name, fleetID, &next.gone)
	})
}

// serve keeps a session with one member until ctx ends. When it ends because the
// Cluster is gone, the fleet's accounts in the member go too.
func (s *Syncer) serve(ctx context.Context, name, fleetID string, gone *atomic.Bool) {
	logger := klog.FromContext(ctx)
	logger.V(2).Info("Serving member")
	delay := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.2, Steps: 6, Cap: 30 * time.Second}.
		DelayWithReset(s.clock, 5*time.Minute)
	for ctx.Err() == nil {
		err := s.serveOnce(ctx, name, fleetID, gone)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, member.ErrMoved) {
			logger.V(2).Info("Connecting to member anew")
			continue
		}
		logger.Error(err, "Session of member failed, starting another")
		timer := s.clock.NewTimer(delay())
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C():
		}
	}
}

// serveOnce runs one session.
func (s *Syncer) serveOnce(ctx context.Context, name, fleetID string, gone *atomic.Bool) error {
	get := func() (*clusterv1alpha1.Cluster, error) { return s.clusters.named(name) }
	cluster, err := get()
	if err != nil {
		return err
	}
	var carrier *session
	var status *clusterStatus
	connection, err := member.Connect(ctx, member.Options{
		Name: name, ID: cluster.Spec.ID, Catalog: s.catalog, Clock: s.clock,
		Access:      s.config.Members.access(get, s.core),
		APIsChanged: func() { carrier.apisChanged(); status.changed() },
	})
	if err != nil {
		if errors.Is(err, member.ErrCredentials) {
			s.reportUnconnected(ctx, cluster, err)
		}
		return err
	}
	carrier = newSession(sessionOptions{
		cluster: name, fleetID: fleetID, workers: s.config.Workers, clock: s.clock,
		logger: klog.FromContext(ctx), member: connection, fleet: s.fleet, interpretations: s.interpretations,
		unknownChanged: func() { status.changed() },
	})
	status = newClusterStatus(name, connection, s.fleet.ClusterV1alpha1().Clusters(), get, s.clock)
	status.unknown, status.carried = carrier.unknownNow, carrier.carried
	status.facts.podChanged = carrier.podChanged
	beat := &heartbeat{
		cluster: name, identity: s.identity, clock: s.clock, member: connection,
		leases: s.leases.Leases(clusterv1alpha1.MemberNamespace(name)),
	}
	leaving := newDeparture(name, fleetID, connection, get)
	s.mu.Lock()
	s.changed[name] = func() { status.changed(); leaving.changed() }
	s.carriers[name] = carrier
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.changed, name)
		delete(s.carriers, name)
		s.mu.Unlock()
	}()

	after := context.WithoutCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return connection.Run(ctx) })
	group.Go(func() error { return carrier.run(ctx) })
	group.Go(func() error { status.facts.run(ctx); return nil })
	group.Go(func() error { status.run(ctx); return nil })
	group.Go(func() error { beat.run(ctx); return nil })
	if cluster.Spec.SyncMode == clusterv1alpha1.Push {
		keeper := newCredentials(credentials{
			cluster: name, fleetID: fleetID, rotation: s.config.Rotation, clock: s.clock, get: get, fleetSecrets: s.core,
		}, connection)
		group.Go(func() error { keeper.run(ctx); return nil })
		group.Go(func() error { leaving.run(ctx); return nil })
	}
	err = group.Wait()
	if gone.Load() {
		leaving.revoke(after)
	}
	return err
}

// reportUnconnected says on the Cluster why there is no session with the member.
func (s *Syncer) reportUnconnected(ctx context.Context, cluster *clusterv1alpha1.Cluster, cause error) {
	cluster = cluster.DeepCopy()
	if !setUnconnected(cluster, cause) {
		return
	}
	if _, err := s.fleet.ClusterV1alpha1().Clusters().UpdateStatus(ctx, cluster, metav1.UpdateOptions{}); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).V(2).Info("Status of Cluster was not written", "err", err)
	}
}
