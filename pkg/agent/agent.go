// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/certificate"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	"fleet.dev/fleet/pkg/member"
	"fleet.dev/fleet/pkg/syncer"
	"fleet.dev/fleet/pkg/tunnel"
)

const (
	userAgent = "fleet-agent"
	// registrationInterval is how often the Store is looked at for another
	// registration.
	registrationInterval = 30 * time.Second
	// memberInterval is the time between attempts to reach the member.
	memberInterval = 3 * time.Second
)

// Config is what an Agent is made of.
type Config struct {
	// Cluster is the name of the member in the fleet. Required.
	Cluster string
	// Member returns how to reach the member's API server, as
	// rest.InClusterConfig does. Required.
	Member func() (*rest.Config, error)
	// Store keeps the credentials. Nil means the Secret fleet-system/fleet-agent
	// in the member.
	Store Store
	// Bootstrap is a kubeconfig that takes the place of the stored one, and when
	// it is another one registers the member again. Nil means the stored one.
	Bootstrap []byte
	// Lifetime is the life of certificates to ask for, from ten minutes to
	// identity.MaxLifetime, which 0 means. The fleet may issue shorter ones.
	Lifetime time.Duration
	// Workers is how many works are looked at together. 0 means
	// syncer.DefaultWorkers.
	Workers int
	// Clock is the real one when nil.
	Clock clock.WithTicker
}

// Agent links one member to its fleet.
type Agent struct {
	config       Config
	clock        clock.WithTicker
	store        Store
	memberConfig *rest.Config
	member       kubernetes.Interface
	metadata     metadata.Interface
	tunnel       atomic.Pointer[tunnel.Agent]
}

// New prepares an Agent; nothing happens before Run.
func New(config Config) (*Agent, error) {
	if config.Cluster == "" || config.Member == nil {
		return nil, errors.New("make agent: no cluster or no way to it")
	}
	if config.Lifetime == 0 {
		config.Lifetime = identity.MaxLifetime
	}
	registerMetrics()
	a := &Agent{config: config, clock: config.Clock, store: config.Store}
	if a.clock == nil {
		a.clock = clock.RealClock{}
	}
	var err error
	if a.memberConfig, err = config.Member(); err != nil {
		return nil, fmt.Errorf("find the API server of this cluster: %w", err)
	}
	a.memberConfig = rest.CopyConfig(a.memberConfig)
	a.memberConfig.UserAgent = userAgent
	if a.member, err = kubernetes.NewForConfig(a.memberConfig); err != nil {
		return nil, fmt.Errorf("make a client to this cluster: %w", err)
	}
	if a.metadata, err = metadata.NewForConfig(a.memberConfig); err != nil {
		return nil, fmt.Errorf("make a client to this cluster: %w", err)
	}
	if a.store == nil {
		a.store = NewSecretStore(a.member.CoreV1())
	}
	return a, nil
}

// Connected says whether a tunnel to the fleet is open.
func (a *Agent) Connected() bool {
	tunnel := a.tunnel.Load()
	return tunnel != nil && tunnel.Connected()
}

// Run links the member until ctx ends, and then returns nil, or until the member
// has left the fleet, and then returns ErrLeft.
func (a *Agent) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("cluster", a.config.Cluster))
	id, err := a.awaitMember(ctx)
	if err != nil {
		return nil //nolint:nilerr // ctx ended
	}
	if err := own(ctx, a.metadata); err != nil {
		klog.FromContext(ctx).Error(err, "Parts of the installation will stay behind when the cluster leaves the fleet")
	}
	if err := a.storeBootstrap(ctx); err != nil {
		return nil //nolint:nilerr // ctx ended
	}
	for ctx.Err() == nil {
		credentials, err := a.register(ctx, id)
		if err == nil {
			err = a.serve(ctx, credentials)
		}
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end was asked for
		case errors.Is(err, ErrLeft):
			return (&removal{store: a.store, member: a.member, clock: a.clock}).run(ctx)
		case errors.Is(err, errReplaced):
			klog.FromContext(ctx).Info("The cluster was registered again, starting over")
		case err != nil:
			return err
		}
	}
	return nil
}

// awaitMember returns the id of the member, the uid of its kube-system namespace.
func (a *Agent) awaitMember(ctx context.Context) (string, error) {
	reason := ""
	for {
		system, err := a.member.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
		if err == nil {
			return string(system.UID), nil
		}
		if reason != err.Error() && ctx.Err() == nil {
			reason = err.Error()
			klog.FromContext(ctx).Info("Waiting for the API server of this cluster", "reason", reason)
		}
		if err := a.pause(ctx, memberInterval); err != nil {
			return "", err
		}
	}
}

// storeBootstrap stores the bootstrap kubeconfig of the configuration, unless it
// is there. Everything that came from another one goes. A member that has left
// stays out until it is registered again on purpose.
func (a *Agent) storeBootstrap(ctx context.Context) error {
	for len(a.config.Bootstrap) > 0 {
		err := a.store.Update(ctx, func(stored *Credentials) error {
			if !stored.Left && !bytes.Equal(stored.Bootstrap, a.config.Bootstrap) {
				*stored = Credentials{Bootstrap: a.config.Bootstrap}
			}
			return nil
		})
		if err == nil {
			return nil
		}
		klog.FromContext(ctx).Info("Waiting for this cluster to keep the bootstrap kubeconfig", "reason", err.Error())
		if err := a.pause(ctx, memberInterval); err != nil {
			return err
		}
	}
	return nil
}

// register returns credentials with a certificate for this member. It waits for
// that as long as it takes; an error is ErrLeft or means that ctx ended.
func (a *Agent) register(ctx context.Context, id string) (Credentials, error) {
	logger := klog.FromContext(ctx)
	said := ""
	say := func(message string) {
		if message != said {
			said = message
			logger.Info("Waiting for the cluster to be registered with \"fleet register\"", "reason", message)
		}
	}
	for ctx.Err() == nil {
		credentials, err := a.store.Load(ctx)
		switch {
		case err != nil:
			say(err.Error())
		case credentials.Left:
			return credentials, ErrLeft
		case len(credentials.Bootstrap) == 0:
			say("there is no bootstrap kubeconfig")
		case len(credentials.Certificate) == 0:
			first := &bootstrap{
				cluster: a.config.Cluster, id: id, lifetime: a.config.Lifetime,
				store: a.store, clock: a.clock, connect: bootstrapClient,
			}
			if err := first.run(ctx); err != nil {
				return Credentials{}, err
			}
			continue
		default:
			err := a.identify(credentials, id)
			if err == nil {
				return credentials, nil
			}
			// A Secret that was copied, or restored, into another cluster.
			say(err.Error())
		}
		if err := a.pause(ctx, lookInterval); err != nil {
			return Credentials{}, err
		}
	}
	return Credentials{}, ctx.Err()
}

// identify returns an error unless the stored certificate is for this member.
func (a *Agent) identify(credentials Credentials, id string) error {
	pair, err := tls.X509KeyPair(credentials.Certificate, credentials.Key)
	if err != nil {
		return fmt.Errorf("read the stored certificate: %w", err)
	}
	who, err := identity.FromCertificate(pair.Leaf)
	if err != nil {
		return fmt.Errorf("read the stored certificate: %w", err)
	}
	if who.Cluster != a.config.Cluster || who.ID != id {
		return fmt.Errorf("the stored certificate is for cluster %q with id %s, this is cluster %q with id %s",
			who.Cluster, who.ID, a.config.Cluster, id)
	}
	return nil
}

// serve links the member with the certificate in credentials, and those that
// follow it, until ctx ends, the member leaves or it is registered again.
func (a *Agent) serve(ctx context.Context, credentials Credentials) error {
	fleetConfig, err := clientcmd.RESTConfigFromKubeConfig(credentials.Bootstrap)
	if err != nil {
		return fmt.Errorf("read the bootstrap kubeconfig: %w", err)
	}
	certificates, err := newCertificates(a.store, credentials)
	if err != nil {
		return err
	}
	transport, err := newTransport(fleetConfig, certificates.current.Load)
	if err != nil {
		return err
	}
	defer transport.close()
	link, err := a.newTunnel(transport)
	if err != nil {
		return err
	}
	a.tunnel.Store(link)
	defer a.tunnel.Store(nil)
	leaving := newDeparture(a.config.Cluster)
	carrier, err := syncer.New(syncer.Config{
		FleetConfig: transport.requests(), Members: syncer.Pull(a.config.Cluster, member.PullAccess(a.config.Member)),
		Observer: leaving, Workers: a.config.Workers, Clock: a.clock,
	})
	if err != nil {
		return err
	}
	logger := klog.FromContext(ctx)
	certificates.renewed = func() {
		logger.Info("Took up a new certificate", "expires", certificates.current.Load().Leaf.NotAfter)
		if err := transport.renew(); err != nil {
			logger.Error(err, "Requests to the fleet go on with the old certificate")
		}
		link.Renew()
	}
	stopRotation, err := a.rotate(ctx, certificates, transport.requests())
	if err != nil {
		return err
	}
	defer stopRotation()

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return carrier.Run(ctx) })
	group.Go(func() error { link.Run(ctx); return nil })
	group.Go(func() error { return leaving.await(ctx) })
	group.Go(func() error { return a.awaitReplaced(ctx, credentials) })
	return group.Wait()
}

// newTunnel returns the member's end of the tunnel, which serves requests of the
// fleet's users.
func (a *Agent) newTunnel(transport *transport) (*tunnel.Agent, error) {
	handler, err := tunnel.NewMemberHandler(a.memberConfig)
	if err != nil {
		return nil, err
	}
	fleetConfig, err := transport.upgrades()
	if err != nil {
		return nil, err
	}
	return tunnel.NewAgent(tunnel.AgentOptions{Cluster: a.config.Cluster, Fleet: fleetConfig, Handler: handler, Clock: a.clock})
}

// rotate has upstream's manager keep the certificates fresh until stop is called.
func (a *Agent) rotate(ctx context.Context, certificates *certificates, fleetConfig *rest.Config) (stop func(), err error) {
	current, err := certificates.Current()
	if err != nil {
		return nil, err
	}
	who, err := identity.FromCertificate(current.Leaf)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of the agent: %w", err)
	}
	// One client for all: its transport shows the current certificate, expired or
	// not, while the manager takes an expired one for none.
	fleetClient, err := kubernetes.NewForConfig(fleetConfig)
	if err != nil {
		return nil, fmt.Errorf("make a client to the fleet: %w", err)
	}
	manager, err := certificate.NewManager(&certificate.Config{
		Name:                         "rotation",
		ClientsetFn:                  func(*tls.Certificate) (kubernetes.Interface, error) { return fleetClient, nil },
		Template:                     &x509.CertificateRequest{Subject: who.Subject()},
		SignerName:                   identity.Signer,
		RequestedCertificateLifetime: &a.config.Lifetime,
		Usages:                       identity.Usages(),
		CertificateStore:             certificates,
		CertificateRenewFailure:      &renewalFailures{certificates: certificates, clock: a.clock, logger: klog.FromContext(ctx)},
		Ctx:                          &ctx,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the rotation of certificates: %w", err)
	}
	manager.Start()
	return manager.Stop, nil
}

// awaitReplaced returns errReplaced when the member was registered again, or nil
// when ctx ended. What cannot be read has not changed.
func (a *Agent) awaitReplaced(ctx context.Context, credentials Credentials) error {
	for a.pause(ctx, registrationInterval) == nil {
		stored, err := a.store.Load(ctx)
		if err != nil || len(stored.Bootstrap) == 0 {
			continue
		}
		if !bytes.Equal(stored.Bootstrap, credentials.Bootstrap) || len(stored.Certificate) == 0 {
			return errReplaced
		}
	}
	return nil
}

func (a *Agent) pause(ctx context.Context, delay time.Duration) error {
	timer := a.clock.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C():
		return nil
	}
}
