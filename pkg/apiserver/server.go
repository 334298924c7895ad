// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/notfoundhandler"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"

	"fleet.dev/fleet/pkg/apiserver/usage"
)

// etcdCloseTimeout bounds how long a stop waits for etcd's last write.
const etcdCloseTimeout = 20 * time.Second

// Server is a fleet API server that is ready to run.
type Server struct {
	options    CompletedOptions
	aggregator *aggregatorapiserver.APIAggregator
	etcd       *embed.Etcd // nil when etcd is external
}

// New starts or reaches etcd and assembles the server chain. The returned
// server serves nothing until Run. After an error nothing is left running.
func New(ctx context.Context, opts CompletedOptions) (*Server, error) {
	s := &Server{options: opts}
	if err := s.connectEtcd(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	fleet, cfg, err := s.configure() //nolint:contextcheck // hooks get their context when the server runs
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	identity, err := keepIdentity(ctx, cfg.kube.ControlPlane.Generic.RESTOptionsGetter, opts.PKI().FleetID)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	if fleet.projections != nil {
		fleet.projections.fleetID = identity
	}
	if err := s.assemble(fleet, cfg); err != nil { //nolint:contextcheck // hooks get their context when the server runs
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *Server) connectEtcd(ctx context.Context) (err error) {
	if !s.options.embed {
		return probeEtcd(ctx, s.options.Etcd.StorageConfig.Transport)
	}
	s.etcd, err = startEtcd(ctx, s.options.etcd)
	return err
}

// configure makes what the chain is assembled from.
func (s *Server) configure() (*fleetGroups, *config, error) {
	fleet := newFleetGroups(!s.options.embed)
	var err error
	if fleet.projections, err = newProjections(s.options.projections, fleet.reach, fleet.engine); err != nil {
		return nil, nil, fmt.Errorf("configure projections: %w", err)
	}
	cfg, err := newConfig(s.options, fleet.wrap, fleet.newDialer())
	return fleet, cfg, err
}

// assemble builds the chain from its end to its front: custom resources, native
// and fleet groups, aggregator.
func (s *Server) assemble(fleet *fleetGroups, cfg *config) error {
	if fleet.projections != nil {
		fleet.projections.configure(cfg)
	}
	fleet.capture.UseForCustomResources(cfg.apiExtensions.ExtraConfig.CRDRESTOptionsGetter)
	notFound := notfoundhandler.New(cfg.kube.ControlPlane.Generic.Serializer, genericapifilters.NoMuxAndDiscoveryIncompleteKey)
	apiExtensions, err := cfg.apiExtensions.Complete().New(genericapiserver.NewEmptyDelegateWithCustomHandler(notFound))
	if err != nil {
		return fmt.Errorf("assemble custom resources: %w", err)
	}
	kube, err := cfg.kube.Complete().New(apiExtensions.GenericAPIServer)
	if err != nil {
		return fmt.Errorf("assemble native groups: %w", err)
	}
	if err := fleet.install(kube.ControlPlane); err != nil {
		return fmt.Errorf("assemble fleet groups: %w", err)
	}
	if err := fleet.connectMembers(kube.ControlPlane.GenericAPIServer, s.options); err != nil {
		return fmt.Errorf("assemble the way to members: %w", err)
	}
	if err := fleet.reach.install(kube.ControlPlane.GenericAPIServer); err != nil {
		return fmt.Errorf("assemble the way to members: %w", err)
	}
	if fleet.projections != nil {
		if err := fleet.projections.install(kube.ControlPlane.GenericAPIServer); err != nil {
			return fmt.Errorf("assemble projections: %w", err)
		}
		metrics := usage.Options{
			Members: fleet.reach, Pods: shownPods{fleet.projections.Projections}, Templates: fleet.projections.templates,
		}
		if err := usage.Install(kube.ControlPlane.GenericAPIServer, metrics); err != nil {
			return fmt.Errorf("assemble metrics: %w", err)
		}
	}
	if err := cfg.agents.install(kube.ControlPlane.GenericAPIServer); err != nil {
		return err
	}
	if err := installPlacements(cfg.placements, kube.ControlPlane.GenericAPIServer); err != nil {
		return err
	}
	info, err := newClusterInfo(s.options)
	if err != nil {
		return err
	}
	if err := addBootstrapHooks(kube.ControlPlane.GenericAPIServer, info); err != nil {
		return err
	}
	aggregator := cfg.aggregator.Complete()
	s.aggregator, err = controlplaneapiserver.CreateAggregatorServer(
		aggregator,
		kube.ControlPlane.GenericAPIServer,
		apiExtensions.Informers.Apiextensions().V1().CustomResourceDefinitions(),
		cfg.apiExtensions.GenericConfig.MergedResourceConfig.ResourceEnabled(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")),
		apiServicePriorities(legacyscheme.Scheme.PrioritizedVersionsAllGroups()),
	)
	if err != nil {
		return fmt.Errorf("assemble the aggregator: %w", err)
	}
	if fleet.projections != nil {
		groups := &groupList{more: func() []metav1.APIGroup { return usage.Groups(fleet.reach) }}
		groups.install(s.aggregator.GenericAPIServer)
	}
	return nil
}

// LoopbackConfig is a client of this server with every right, for code in this
// process that is part of the server itself.
func (s *Server) LoopbackConfig() *rest.Config {
	return rest.CopyConfig(s.aggregator.GenericAPIServer.LoopbackClientConfig)
}

// AdminKubeconfig is the path of the administrator's kubeconfig.
func (s *Server) AdminKubeconfig() string { return s.options.Kubeconfig("admin") }

// WaitReady returns once /readyz answers ok.
func (s *Server) WaitReady(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(s.LoopbackConfig())
	if err != nil {
		return fmt.Errorf("make loopback client: %w", err)
	}
	var last error
	err = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		last = client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait until the API server is ready: %w", errors.Join(err, last))
	}
	return nil
}

// Run serves until ctx ends, then drains requests, closes etcd and gives the
// data directory back. It returns nil after a clean stop.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if s.etcd != nil {
		go s.stopWithEtcd(ctx, cancel)
	}
	prepared, err := s.aggregator.PrepareRun()
	if err != nil {
		return errors.Join(fmt.Errorf("prepare the API server: %w", err), s.close())
	}
	err = prepared.Run(ctx)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return errors.Join(err, s.close())
}

// stopWithEtcd stops the server when its etcd fails: serving from memory what
// can no longer be written would be worse.
func (s *Server) stopWithEtcd(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case err := <-s.etcd.Err():
		cancel(fmt.Errorf("embedded etcd failed: %w", err))
	case <-s.etcd.Server.StopNotify():
		cancel(errors.New("embedded etcd stopped by itself"))
	case <-ctx.Done():
	}
}

func (s *Server) close() error {
	if s.etcd != nil {
		s.etcd.Close()
		select {
		case <-s.etcd.Server.StopNotify():
		case <-time.After(etcdCloseTimeout): //nolint:forbidigo // the process is ending; no clock to inject
		}
	}
	return s.options.lock.Release()
}
