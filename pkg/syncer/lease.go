// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/member"
)

const (
	// leaseInterval is the time between two renewals.
	leaseInterval = 10 * time.Second
	// leaseDuration is how long a renewal counts: as long as the cluster controller
	// gives it.
	leaseDuration = 35 * time.Second
)

// heartbeat renews the lease fleet-cluster-<name>/<name> while the member
// answers: the lease says when the member was last heard of, through whichever
// syncer.
type heartbeat struct {
	cluster  string
	identity string
	clock    clock.WithTicker
	member   member.Connection
	leases   coordinationv1client.LeaseInterface

	// held is the lease as last written, nil when it has to be read first.
	held *coordinationv1.Lease
}

// run renews until ctx ends.
func (h *heartbeat) run(ctx context.Context) {
	ticker := h.clock.NewTicker(leaseInterval)
	defer ticker.Stop()
	for {
		health, changed := h.member.Health()
		if health.Reachable {
			if err := h.renew(ctx); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Lease of member was not renewed", "cluster", h.cluster)
			}
			changed = nil // only the first answer of a lost member is worth a renewal out of turn
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		case <-changed:
		}
	}
}

// renew writes the lease; one request when nobody else wrote it since.
func (h *heartbeat) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseInterval)
	defer cancel()
	if h.held != nil {
		lease, err := h.leases.Update(ctx, h.renewed(h.held), metav1.UpdateOptions{})
		if err == nil {
			h.held = lease
			return nil
		}
		h.held = nil
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return fmt.Errorf("update lease of member %q: %w", h.cluster, err)
		}
	}
	lease, err := h.leases.Get(ctx, h.cluster, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		lease, err = h.leases.Create(ctx, h.renewed(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: h.cluster}}), metav1.CreateOptions{})
	case err == nil:
		lease, err = h.leases.Update(ctx, h.renewed(lease), metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("renew lease of member %q: %w", h.cluster, err)
	}
	h.held = lease
	return nil
}

// renewed returns a copy of the lease that is renewed now.
func (h *heartbeat) renewed(lease *coordinationv1.Lease) *coordinationv1.Lease {
	lease = lease.DeepCopy()
	now := metav1.NewMicroTime(h.clock.Now())
	lease.Spec.RenewTime = &now
	lease.Spec.HolderIdentity = &h.identity
	lease.Spec.LeaseDurationSeconds = ptr.To(int32(leaseDuration / time.Second))
	return lease
}
