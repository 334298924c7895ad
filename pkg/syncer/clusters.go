// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/pkg/listwatch"
)

// Observer is told what happens to the Clusters a syncer sees. It must not block.
type Observer interface {
	// Seen is told of a Cluster as it is now.
	Seen(cluster *clusterv1alpha1.Cluster)
	// Deleted is told of a deletion the API server reported, with the Cluster as it
	// was last. A Cluster that is merely missing from a list is not reported.
	Deleted(cluster *clusterv1alpha1.Cluster)
}

// clusters mirrors the Clusters a syncer sees.
type clusters struct {
	*mirror[*clusterv1alpha1.Cluster]
	watched  fields.Selector
	observer Observer // may be nil
}

var _ cache.TransformingStore = &clusters{}

// newClusters calls changed with the name of a Cluster that changed or is gone.
func newClusters(watched fields.Selector, observer Observer, changed func(name string)) *clusters {
	c := &clusters{watched: watched, observer: observer}
	c.mirror = newMirror(cutCluster, func(old, now *clusterv1alpha1.Cluster, _ string) {
		if now == nil {
			changed(old.Name)
			return
		}
		if observer != nil {
			observer.Seen(now)
		}
		changed(now.Name)
	}, func() {})
	return c
}

// cutCluster leaves out of a Cluster what the syncer does not need.
func cutCluster(object any) (*clusterv1alpha1.Cluster, error) {
	cluster, ok := object.(*clusterv1alpha1.Cluster)
	if !ok {
		return nil, fmt.Errorf("read Cluster: unexpected type %T", object)
	}
	cluster.ManagedFields = nil
	return cluster, nil
}

// Delete implements cache.ReflectorStore. Reflectors call it for what a watch
// reports, and Replace for what a list has.
func (c *clusters) Delete(object any) error {
	cluster, err := cutCluster(object)
	if err != nil {
		return err
	}
	if c.observer != nil {
		c.observer.Deleted(cluster)
	}
	return c.mirror.Delete(cluster)
}

// named returns a Cluster, which is not to be changed.
func (c *clusters) named(name string) (*clusterv1alpha1.Cluster, error) {
	cluster, ok := c.get(name)
	if !ok {
		return nil, apierrors.NewNotFound(clusterv1alpha1.Resource("clusters"), name)
	}
	return cluster, nil
}

// run mirrors until ctx ends.
func (c *clusters) run(ctx context.Context, fleet versioned.Interface, clock clock.WithTicker) {
	api := fleet.ClusterV1alpha1().Clusters()
	lw := listwatch.Some(api, metav1.ListOptions{FieldSelector: c.watched.String()})
	followFleet(ctx, "clusters", patient(lw, fleet, clock), &clusterv1alpha1.Cluster{}, c, clock)
}
