// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/controllers/cluster"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetscheme "fleet.dev/fleet/pkg/generated/clientset/versioned/scheme"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// newCluster makes the controller of the members' lifecycle.
func newCluster(ctx context.Context, d *dependencies) (loop, error) {
	config := d.clientConfig("cluster-controller")
	config.ContentType = runtime.ContentTypeJSON // the fleet's own kinds have no protobuf
	config.AcceptContentTypes = runtime.ContentTypeJSON
	client, err := fleetclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the client of the fleet's own kinds: %w", err)
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	fleetFactory := fleetinformers.NewSharedInformerFactoryWithOptions(client, d.resync(), fleetinformers.WithTransform(cluster.Trim))
	controller, err := cluster.New(cluster.Dependencies{
		KubeClient:     d.client,
		FleetClient:    client,
		KubeInformers:  d.informers.typed,
		FleetInformers: fleetFactory,
		Recorder:       broadcaster.NewRecorder(fleetscheme.Scheme, corev1.EventSource{Component: "cluster-controller"}),
		Clock:          clock.RealClock{},
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) {
		broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: d.client.CoreV1().Events("")})
		defer broadcaster.Shutdown()
		fleetFactory.Start(ctx.Done())
		defer fleetFactory.Shutdown()
		controller.Run(ctx)
	}, nil
}
