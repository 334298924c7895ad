// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/controllers/cluster"
	"fleet.dev/fleet/pkg/controllers/foreground"
	"fleet.dev/fleet/pkg/controllers/pods"
	"fleet.dev/fleet/pkg/controllers/rebalance"
	"fleet.dev/fleet/pkg/controllers/registration"
	"fleet.dev/fleet/pkg/controllers/revisions"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetscheme "fleet.dev/fleet/pkg/generated/clientset/versioned/scheme"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// newCluster makes the controller of the members' lifecycle.
func newCluster(ctx context.Context, d *dependencies) (loop, error) {
	recorder, recording := d.recorder(ctx, ClusterController)
	controller, err := cluster.New(cluster.Dependencies{
		KubeClient:     d.client,
		FleetClient:    d.fleetClient,
		KubeInformers:  d.informers.typed,
		FleetInformers: d.fleetInformers,
		Recorder:       recorder,
		Clock:          clock.RealClock{},
	})
	if err != nil {
		return nil, err
	}
	return together(recording, controller.Run), nil
}

// newRegistration makes the controller that lets clusters in Pull mode in.
func newRegistration(ctx context.Context, d *dependencies) (loop, error) {
	recorder, recording := d.recorder(ctx, RegistrationController)
	controller, err := registration.New(registration.Dependencies{
		KubeClient:     d.client,
		FleetClient:    d.fleetClient,
		KubeInformers:  d.informers.typed,
		FleetInformers: d.fleetInformers,
		Recorder:       recorder,
	})
	if err != nil {
		return nil, err
	}
	return together(recording, controller.Run), nil
}

// newRebalance makes the controller of WorkloadRebalancers.
func newRebalance(_ context.Context, d *dependencies) (loop, error) {
	controller, err := rebalance.New(rebalance.Dependencies{FleetClient: d.fleetClient, FleetInformers: d.fleetInformers, Clock: clock.RealClock{}})
	if err != nil {
		return nil, err
	}
	return controller.Run, nil
}

// newRevisions builds the controller of ReplicaSets and ControllerRevisions.
func newRevisions(ctx context.Context, d *dependencies) (loop, error) {
	recorder, recording := d.recorder(ctx, RevisionController)
	controller, err := revisions.New(revisions.Dependencies{Client: d.client, Informers: d.informers.typed, Recorder: recorder, Clock: clock.RealClock{}})
	if err != nil {
		return nil, err
	}
	return together(recording, controller.Run), nil
}

// newForeground makes the controller that ends deletions in the foreground.
func newForeground(_ context.Context, d *dependencies) (loop, error) {
	config := d.clientConfig(ForegroundController)
	templates, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the metadata client of the %s: %w", ForegroundController, err)
	}
	controller, err := foreground.New(foreground.Dependencies{
		Templates: templates, Mapper: d.mapper, FleetInformers: d.fleetInformers, Clock: clock.RealClock{},
	})
	if err != nil {
		return nil, err
	}
	return controller.Run, nil
}

// newPods makes the controller that ends graceful deletions of bare Pods.
func newPods(_ context.Context, d *dependencies) (loop, error) {
	controller, err := pods.New(pods.Dependencies{
		KubeClient: d.client, FleetClient: d.fleetClient, KubeInformers: d.informers.typed, FleetInformers: d.fleetInformers, Clock: clock.RealClock{},
	})
	if err != nil {
		return nil, err
	}
	return controller.Run, nil
}

// fleetUserAgent is the user agent, and field manager, for the fleet's own kinds.
const fleetUserAgent = "fleet-controller-manager"

// useFleet makes the client of the fleet's own kinds and their informers, which
// its controllers share.
func (d *dependencies) useFleet() error {
	config := d.clientConfig("")
	config.UserAgent = fleetUserAgent
	config.ContentType = runtime.ContentTypeJSON // the fleet's own kinds have no protobuf
	config.AcceptContentTypes = runtime.ContentTypeJSON
	client, err := fleetclient.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make the client of the fleet's own kinds: %w", err)
	}
	d.fleetClient = client
	d.fleetInformers = fleetinformers.NewSharedInformerFactoryWithOptions(client, d.resync(), fleetinformers.WithTransform(cluster.Trim))
	return nil
}

// recorder returns a recorder of Events and the loop that sends them.
func (d *dependencies) recorder(ctx context.Context, component string) (record.EventRecorder, loop) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	kinds := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(kinds))
	utilruntime.Must(fleetscheme.AddToScheme(kinds))
	return broadcaster.NewRecorder(kinds, corev1.EventSource{Component: component}), func(ctx context.Context) {
		broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: d.client.CoreV1().Events("")})
		defer broadcaster.Shutdown()
		<-ctx.Done()
	}
}
