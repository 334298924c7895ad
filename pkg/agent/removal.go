// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/syncer"
)

// ErrLeft says that the member has left the fleet and the agent removed itself.
var ErrLeft = errors.New("the member has left the fleet")

// departure watches for the end of the member's Cluster. What counts is a deletion
// that was seen to begin and then to end, both in what the API server sent about
// the object itself. That it is missing from a list counts for nothing: an etcd that
// was restored, or a fleet that lost it, would look the same.
type departure struct {
	cluster string
	left    chan struct{} // closed when the Cluster is gone

	mu      sync.Mutex
	leaving types.UID // whose deletion began
	over    bool
}

var _ syncer.Observer = &departure{}

func newDeparture(cluster string) *departure {
	return &departure{cluster: cluster, left: make(chan struct{})}
}

// Seen implements syncer.Observer.
func (d *departure) Seen(cluster *clusterv1alpha1.Cluster) {
	if cluster.Name != d.cluster || cluster.DeletionTimestamp.IsZero() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaving = cluster.UID
}

// Deleted implements syncer.Observer.
func (d *departure) Deleted(cluster *clusterv1alpha1.Cluster) {
	if cluster.Name != d.cluster {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over && d.leaving != "" && d.leaving == cluster.UID {
		d.over = true
		close(d.left)
	}
}

// await returns ErrLeft when the member has left, or nil when ctx ended.
func (d *departure) await(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.left:
		return ErrLeft
	}
}

// removal takes back what was installed for the agent. The Secret is emptied
// first and says so, for if the agent were restarted halfway with its bootstrap
// token in it, the member would ask to join again.
type removal struct {
	store  Store
	member kubernetes.Interface
	clock  clock.WithTicker
}

// run tries until it succeeds, and returns ErrLeft, or until ctx ends.
func (r *removal) run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	logger.Info("The cluster has left the fleet, removing the agent")
	delay := wait.Backoff{Duration: time.Second, Cap: 30 * time.Second, Steps: 6, Factor: 2, Jitter: 0.2}.DelayFunc()
	for ctx.Err() == nil {
		err := r.attempt(ctx)
		if err == nil {
			logger.Info("The agent is removed", "clusterRole", wellknown.AgentName)
			return ErrLeft
		}
		pause := delay()
		logger.Info("The agent was not removed, trying again", "reason", err.Error(), "retryAfter", pause.Round(time.Second))
		timer := r.clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C():
		}
	}
	return nil
}

func (r *removal) attempt(ctx context.Context) error {
	err := r.store.Update(ctx, func(stored *Credentials) error {
		*stored = Credentials{Left: true}
		return nil
	})
	if err != nil {
		return err
	}
	// All else goes with the ClusterRole that owns it, this process included when
	// it runs in the Deployment.
	background := metav1.DeletePropagationBackground
	err = r.member.RbacV1().ClusterRoles().Delete(ctx, wellknown.AgentName, metav1.DeleteOptions{PropagationPolicy: &background})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
