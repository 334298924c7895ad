// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/klog/v2"
	kubeconfig "k8s.io/kubernetes/pkg/controller/apis/config"

	"fleet.dev/fleet/pkg/election"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// userAgent names the process to the fleet's API server, and thereby those who manage
// fields of native objects: the controllers are a cluster's, and tools that leave to them
// what they write, such as the replicas of an autoscaled workload, know them by that name.
const userAgent = "kube-controller-manager"

// Manager runs the selected controllers, while it leads.
type Manager struct {
	config Config
	client kubernetes.Interface
}

// New returns a manager of the controllers that the configuration selects. It
// does not talk to the fleet yet.
func New(config *Config) (*Manager, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("configure the controller manager: %w", err)
	}
	m := &Manager{config: *config}
	restConfig := rest.CopyConfig(config.RESTConfig)
	connection := config.Kube.Generic.ClientConnection
	restConfig.QPS, restConfig.Burst = connection.QPS, int(connection.Burst)
	restConfig.ContentType, restConfig.AcceptContentTypes = connection.ContentType, connection.AcceptContentTypes
	restConfig.UserAgent = userAgent
	m.config.RESTConfig = restConfig

	var err error
	if m.client, err = kubernetes.NewForConfig(restConfig); err != nil {
		return nil, fmt.Errorf("make the client to the fleet: %w", err)
	}
	return m, nil
}

// Run runs the controllers until ctx ends, which is no error. With leader
// election it first waits to lead, and returns an error when it stops leading.
func (m *Manager) Run(ctx context.Context) error {
	candidacy, err := election.New(m.config.RESTConfig, m.config.Kube.Generic.LeaderElection, "")
	if err != nil {
		return err
	}
	return candidacy.Run(ctx, m.runControllers)
}

// runControllers builds and runs the controllers: it waits for the fleet,
// builds, starts the informers that the building asked for, and runs the loops.
func (m *Manager) runControllers(ctx context.Context) error {
	if err := m.waitForFleet(ctx); err != nil {
		return err
	}
	d, err := m.dependencies()
	if err != nil {
		return err
	}
	loops, err := build(ctx, d, enabled(m.config.Kube.Generic.Controllers))
	if err != nil {
		return err
	}
	d.startInformers(ctx)
	defer d.shutdownInformers()
	return runAll(ctx, loops, m.config.ShutdownTimeout)
}

// waitForFleet waits until the API server is ready: the controllers' first
// discovery has to be complete, and RBAC in place.
func (m *Manager) waitForFleet(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, m.config.StartTimeout, true, func(ctx context.Context) (bool, error) {
		last = m.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		return last == nil, nil
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("wait %s for the fleet at %s: %w", m.config.StartTimeout, m.config.RESTConfig.Host, last)
	}
	return err
}

// namedLoop is a built controller.
type namedLoop struct {
	name string
	run  loop
}

// build makes the loops of the given controllers, in order.
func build(ctx context.Context, d *dependencies, selected []descriptor) ([]namedLoop, error) {
	var loops []namedLoop
	for _, s := range selected {
		logger := klog.LoggerWithName(klog.FromContext(ctx), s.name)
		run, err := s.build(klog.NewContext(ctx, logger), d)
		if err != nil {
			return nil, fmt.Errorf("build controller %q: %w", s.name, err)
		}
		if run == nil {
			logger.V(2).Info("Controller has nothing to do in this configuration", "controller", s.name)
			continue
		}
		loops = append(loops, namedLoop{name: s.name, run: run})
	}
	return loops, nil
}

// runAll runs the loops until ctx ends, then waits for them to return, at most
// for the timeout.
func runAll(ctx context.Context, loops []namedLoop, timeout time.Duration) error {
	logger := klog.FromContext(ctx)
	returned := make([]atomic.Bool, len(loops))
	var wg sync.WaitGroup
	for i, l := range loops {
		wg.Go(func() {
			defer returned[i].Store(true)
			logger.V(2).Info("Controller started", "controller", l.name)
			l.run(klog.NewContext(ctx, klog.LoggerWithName(logger, l.name)))
		})
	}
	<-ctx.Done()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	select {
	case <-done:
		return nil
	case <-grace.Done():
		var late []string
		for i, l := range loops {
			if !returned[i].Load() {
				late = append(late, l.name)
			}
		}
		return fmt.Errorf("stop the controllers: %q did not return within %s", late, timeout)
	}
}

// together runs loops concurrently and returns when all have. No loops make no
// loop.
func together(runs ...loop) loop {
	if len(runs) == 0 {
		return nil
	}
	return func(ctx context.Context) {
		var wg sync.WaitGroup
		for _, run := range runs {
			wg.Go(func() { run(ctx) })
		}
		wg.Wait()
	}
}

// dependencies is what controllers are built from, shared by all.
type dependencies struct {
	config    *rest.Config
	kube      kubeconfig.KubeControllerManagerConfiguration
	client    kubernetes.Interface
	metadata  metadata.Interface
	mapper    meta.ResettableRESTMapper
	informers *informerFactory
	// counting is for controllers that count Pods of members.
	counting *counting
	// fleetClient and fleetInformers are of the fleet's own kinds.
	fleetClient    fleetclient.Interface
	fleetInformers fleetinformers.SharedInformerFactory
	// started is closed when the informers asked for while building run.
	started chan struct{}
	// resync returns a period between one and two times the configured one, so
	// that informers do not list all at once.
	resync func() time.Duration
}

// dependencies makes clients and informers. All clients share one connection:
// client-go caches transports by their TLS configuration.
func (m *Manager) dependencies() (*dependencies, error) {
	d := &dependencies{
		config:  m.config.RESTConfig,
		kube:    m.config.Kube,
		client:  m.client,
		started: make(chan struct{}),
		resync: func() time.Duration {
			return time.Duration(float64(m.config.Kube.Generic.MinResyncPeriod.Duration) * (1 + rand.Float64()))
		},
	}
	metadataClient, err := metadata.NewForConfig(d.clientConfig("metadata"))
	if err != nil {
		return nil, fmt.Errorf("make the metadata client to the fleet: %w", err)
	}
	d.metadata = metadataClient
	d.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(m.client.Discovery()))
	d.informers = &informerFactory{
		typed:    newTypedInformers(m.client, d.resync()),
		metadata: metadatainformer.NewSharedInformerFactoryWithOptions(metadataClient, d.resync(), metadatainformer.WithTransform(trim)),
	}
	if d.counting, err = newCounting(d.clientConfig("counting-controllers"), d.resync()); err != nil {
		return nil, err
	}
	return d, d.useFleet()
}

// clientConfig returns the configuration for a client with a rate limit of its
// own and a user agent that names its use.
func (d *dependencies) clientConfig(use string) *rest.Config {
	config := rest.CopyConfig(d.config)
	config.UserAgent += "/" + use
	return config
}

func (d *dependencies) startInformers(ctx context.Context) {
	d.informers.Start(ctx.Done())
	d.fleetInformers.Start(ctx.Done())
	close(d.started)
}

func (d *dependencies) shutdownInformers() {
	d.counting.informers.Shutdown()
	d.informers.typed.Shutdown()
	d.informers.metadata.Shutdown()
	d.fleetInformers.Shutdown()
}
