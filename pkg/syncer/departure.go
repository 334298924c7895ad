// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member"
)

// departureTimeout bounds what a member that has left is asked for.
const departureTimeout = 5 * time.Second

// departure takes the fleet's accounts in a member back once its Cluster is gone,
// so that a Cluster deleted by whoever leaves nothing behind. While the Cluster is
// being deleted it notes the ClusterRole that owns these accounts, at its
// resource version; that one, and no other, it deletes in the end: not one of a
// join that came after, and none when the Cluster was not deleted but is missing,
// as in an etcd that was restored.
type departure struct {
	cluster string
	fleetID string
	// get returns the Cluster from a cache.
	get func() (*clusterv1alpha1.Cluster, error)
	// roles are the ClusterRoles of the member.
	roles dynamic.ResourceInterface
	bell  chan struct{}
	// root is the ClusterRole as it was when the Cluster was being deleted, nil
	// before. It belongs to run, and to revoke when run has ended.
	root *metav1.Preconditions
}

func newDeparture(cluster, fleetID string, connection member.Connection, get func() (*clusterv1alpha1.Cluster, error)) *departure {
	return &departure{
		cluster: cluster, fleetID: fleetID, get: get, bell: make(chan struct{}, 1),
		roles: connection.Objects().Resource(rbacv1.SchemeGroupVersion.WithResource("clusterroles")),
	}
}

// changed has a look at the Cluster, which changed.
func (d *departure) changed() { ring(d.bell) }

// run notes what is to go until ctx ends.
func (d *departure) run(ctx context.Context) {
	for d.root == nil {
		if cluster, err := d.get(); err == nil && !cluster.DeletionTimestamp.IsZero() {
			d.note(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-d.bell:
		}
	}
}

// note reads the ClusterRole. The Cluster changes several times on its way, so one
// that is missed now is looked at again.
func (d *departure) note(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, departureTimeout)
	defer cancel()
	role, err := d.roles.Get(ctx, wellknown.SyncerName, metav1.GetOptions{})
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Accounts in member that is leaving were not found", "cluster", d.cluster, "err", err)
		return
	}
	if role.GetLabels()[wellknown.LabelManagedBy] != d.fleetID {
		return
	}
	uid, version := role.GetUID(), role.GetResourceVersion()
	d.root = &metav1.Preconditions{UID: &uid, ResourceVersion: &version}
}

// revoke deletes the ClusterRole that was noted. What belongs to it the member
// collects. Nobody is left to tell of an error but the log.
func (d *departure) revoke(ctx context.Context) {
	if d.root == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, departureTimeout)
	defer cancel()
	background := metav1.DeletePropagationBackground
	err := d.roles.Delete(ctx, wellknown.SyncerName, metav1.DeleteOptions{Preconditions: d.root, PropagationPolicy: &background})
	logger := klog.FromContext(ctx)
	switch {
	case err == nil, apierrors.IsNotFound(err):
		logger.V(2).Info("Took the fleet's accounts in member back", "cluster", d.cluster)
	case apierrors.IsConflict(err):
		logger.V(2).Info("Accounts in member were granted anew and stay", "cluster", d.cluster)
	default:
		logger.Error(err, "Accounts in member were not taken back; delete its ClusterRole to do so", "cluster", d.cluster, "clusterRole", wellknown.SyncerName)
	}
}
