// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientretry "k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	clusterclient "fleet.dev/fleet/pkg/generated/clientset/versioned/typed/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/member"
)

const (
	// capacityApart is the least time between two writes of numbers that change
	// all the time.
	capacityApart = 10 * time.Second
	// numbersAfter is how long numbers that begin to change are waited with.
	numbersAfter = time.Second
	// unreachableAfter is how long a member may be silent before it is called
	// unreachable.
	unreachableAfter = 15 * time.Second
)

// writeBackoff is how writes that fail are spaced. The reports of the next change
// of the Cluster, or of the member's health, do not wait for it.
var writeBackoff = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 7, Cap: 30 * time.Second}

// clusterStatus keeps Cluster.status of one member up to date. It writes only
// what differs from the Cluster as it is: a member where nothing happens costs
// no write.
type clusterStatus struct {
	cluster string
	clock   clock.WithTicker
	member  member.Connection
	facts   *facts
	client  clusterclient.ClusterInterface
	// get returns the Cluster from a cache.
	get func() (*clusterv1alpha1.Cluster, error)
	// unknown returns the objects no work asks for. Nil finds none.
	unknown func() unknown
	// carried returns the version of the last work whose Pods are in the numbers.
	// Nil knows none.
	carried func() string

	// now rings for what has to be told at once, eventually for what may wait.
	now        chan struct{}
	eventually chan struct{}
}

func newClusterStatus(cluster string, connection member.Connection, client clusterclient.ClusterInterface,
	get func() (*clusterv1alpha1.Cluster, error), clock clock.WithTicker,
) *clusterStatus {
	c := &clusterStatus{
		cluster: cluster, clock: clock, member: connection, client: client, get: get,
		now: make(chan struct{}, 1), eventually: make(chan struct{}, 1),
	}
	c.facts = newFacts(connection, func() { ring(c.eventually) })
	return c
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// changed has the status compared with the Cluster, at once.
func (c *clusterStatus) changed() { ring(c.now) }

// run writes until ctx ends.
func (c *clusterStatus) run(ctx context.Context) {
	// Numbers are told at once after a quiet time, and then at intervals.
	var last time.Time
	backoff := writeBackoff
	for {
		health, healthChanged := c.member.Health()
		patience := c.patience(health)
		numbers := c.eventually
		told, err := c.write(ctx, c.clock.Since(last) >= capacityApart)
		switch {
		case err != nil && ctx.Err() == nil:
			klog.FromContext(ctx).Error(err, "Status of Cluster was not written, trying again", "cluster", c.cluster)
			// What is refused, to an agent that is not accepted say, is not asked for
			// again with every Pod that comes or goes.
			patience, numbers = min(patience, backoff.Step()), nil
		case err == nil:
			backoff = writeBackoff
		}
		if told {
			last = c.clock.Now()
		}
		if !c.wait(ctx, healthChanged, numbers, patience, last) {
			return
		}
	}
}

// wait returns when there is something to tell, false when ctx ended.
func (c *clusterStatus) wait(ctx context.Context, healthChanged, numbers <-chan struct{}, patience time.Duration, last time.Time) bool {
	timer := c.clock.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-healthChanged:
			return true
		case <-c.now:
			return true
		case <-timer.C():
			return true
		case <-numbers:
			if last.IsZero() {
				return true
			}
			rest := max(capacityApart-c.clock.Since(last), numbersAfter)
			// Wait for the interval to end, and for more urgent news.
			numbers = nil
			timer.Reset(min(rest, patience))
		}
	}
}

// patience is the time after which to look without a reason: when the silence of
// a member is long enough to tell.
func (c *clusterStatus) patience(health member.Health) time.Duration {
	if health.Reachable || health.LostSince.IsZero() {
		return time.Hour
	}
	rest := unreachableAfter - c.clock.Since(health.LostSince)
	if rest <= 0 {
		return time.Hour
	}
	return rest
}

// write compares the status with the Cluster and writes the difference. It
// returns true when the numbers were part of it.
func (c *clusterStatus) write(ctx context.Context, numbers bool) (told bool, err error) {
	cluster, err := c.get()
	if err != nil {
		return false, nil //nolint:nilerr // it is being deleted; the session ends soon
	}
	health, _ := c.member.Health()
	if health.Reason == "" {
		return false, nil
	}
	var version string
	if c.carried != nil {
		// Before the numbers are looked at: they may know of more, not of less.
		version = c.carried()
	}
	observed, known := c.observe(cluster, health, numbers)
	err = clientretry.RetryOnConflict(clientretry.DefaultBackoff, func() error {
		wanted := cluster.DeepCopy()
		observed(&wanted.Status, wanted.Generation)
		if equality.Semantic.DeepEqual(cluster.Status, wanted.Status) {
			return nil
		}
		if known {
			wanted.Status.Capacity.ObservedWorkVersion = version
		}
		wanted.Status.Agent = &clusterv1alpha1.ClusterAgent{Version: wellknown.Version, LastSeen: &metav1.Time{Time: c.clock.Now()}}
		_, err := c.client.UpdateStatus(ctx, wanted, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			if latest, getErr := c.client.Get(ctx, c.cluster, metav1.GetOptions{}); getErr == nil {
				cluster = latest
			}
		}
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("write the status of Cluster %q: %w", c.cluster, err)
	}
	return known && err == nil, nil
}

// observe looks at the member and returns how that changes a status, and whether
// the numbers are part of it.
func (c *clusterStatus) observe(cluster *clusterv1alpha1.Cluster, health member.Health, numbers bool) (change func(*clusterv1alpha1.ClusterStatus, int64), known bool) {
	apis := c.member.APIs()
	var sum summary
	if numbers && health.Usable {
		sum, known = c.facts.summary(cluster.Spec.ResourceModels)
	}
	var strangers unknown
	if c.unknown != nil {
		strangers = c.unknown()
	}
	silent := c.clock.Since(health.LostSince) >= unreachableAfter
	return func(status *clusterv1alpha1.ClusterStatus, generation int64) {
		if ready, ok := readyCondition(health, silent); ok && !alreadyUnheard(status, health) {
			ready.ObservedGeneration = generation
			meta.SetStatusCondition(&status.Conditions, ready)
		}
		if condition := strangers.condition(c.cluster); condition != nil {
			condition.ObservedGeneration = generation
			meta.SetStatusCondition(&status.Conditions, *condition)
		} else if strangers.swept {
			meta.RemoveStatusCondition(&status.Conditions, clusterv1alpha1.ClusterConditionUnknownObjects)
		}
		if health.Version != "" {
			status.KubernetesVersion = health.Version
		}
		if !apis.Empty() {
			status.APIEnablements = keepUndiscovered(apis, status.APIEnablements)
			complete := completeCondition(apis)
			complete.ObservedGeneration = generation
			meta.SetStatusCondition(&status.Conditions, complete)
		}
		if known {
			capacity := sum.capacity
			if status.Capacity != nil {
				capacity.ObservedWorkVersion = status.Capacity.ObservedWorkVersion
			}
			status.NodeSummary, status.ResourceSummary, status.Capacity = &sum.nodes, &sum.resources, &capacity
			status.Provider, status.Region, status.Zones = sum.place.Provider, sum.place.Region, sum.place.Zones
		}
	}, known
}

// keepUndiscovered returns what the member serves. Of the versions whose discovery
// fails, what was known before stays: this process may never have seen them, which
// is no sign that they are gone.
func keepUndiscovered(apis *member.APIs, before []clusterv1alpha1.APIEnablement) []clusterv1alpha1.APIEnablement {
	enablements := apis.Enablements()
	for _, version := range apis.Incomplete() {
		of := func(e clusterv1alpha1.APIEnablement) bool { return e.GroupVersion == version }
		known := slices.IndexFunc(before, of)
		if known < 0 {
			continue
		}
		found := slices.IndexFunc(enablements, of)
		if found < 0 {
			enablements = append(enablements, before[known])
			continue
		}
		enablements[found].Resources = union(enablements[found].Resources, before[known].Resources)
	}
	slices.SortFunc(enablements, func(a, b clusterv1alpha1.APIEnablement) int { return cmp.Compare(a.GroupVersion, b.GroupVersion) })
	return enablements
}

// union adds to resources those of before that are missing, sorted by name.
func union(resources, before []clusterv1alpha1.APIResource) []clusterv1alpha1.APIResource {
	for _, resource := range before {
		if !slices.ContainsFunc(resources, func(r clusterv1alpha1.APIResource) bool { return r.Name == resource.Name }) {
			resources = append(resources, resource)
		}
	}
	slices.SortFunc(resources, func(a, b clusterv1alpha1.APIResource) int { return cmp.Compare(a.Name, b.Name) })
	return resources
}

// readyCondition returns the condition Ready, false while it is too early to
// say.
func readyCondition(health member.Health, silent bool) (metav1.Condition, bool) {
	condition := metav1.Condition{
		Type:    clusterv1alpha1.ClusterConditionReady,
		Status:  metav1.ConditionFalse,
		Reason:  health.Reason,
		Message: health.Message,
	}
	switch {
	case health.Ready:
		condition.Status = metav1.ConditionTrue
	case !health.Reachable:
		condition.Message = fmt.Sprintf("the member's API server does not answer since %s", health.LostSince.UTC().Format(time.RFC3339))
		return condition, silent
	}
	return condition, true
}

// setUnconnected says in the status of cluster that no connection can be made,
// and returns false when it says so already.
func setUnconnected(cluster *clusterv1alpha1.Cluster, cause error) bool {
	return meta.SetStatusCondition(&cluster.Status.Conditions, metav1.Condition{
		Type:               clusterv1alpha1.ClusterConditionReady,
		Status:             metav1.ConditionFalse,
		Reason:             clusterv1alpha1.ClusterReasonCredentialsInvalid,
		Message:            cause.Error(),
		ObservedGeneration: cluster.Generation,
	})
}

// alreadyUnheard returns true when the cluster controller has said that nobody
// hears of the member: that this syncer does not either is no news.
func alreadyUnheard(status *clusterv1alpha1.ClusterStatus, health member.Health) bool {
	return !health.Reachable && meta.IsStatusConditionPresentAndEqual(status.Conditions, clusterv1alpha1.ClusterConditionReady, metav1.ConditionUnknown)
}

// completeCondition returns the condition CompleteAPIEnablements.
func completeCondition(apis *member.APIs) metav1.Condition {
	condition := metav1.Condition{
		Type:    clusterv1alpha1.ClusterConditionCompleteAPIEnablements,
		Status:  metav1.ConditionTrue,
		Reason:  clusterv1alpha1.ClusterReasonCompleteDiscovery,
		Message: "apiEnablements lists what the member serves",
	}
	if !apis.Complete() {
		condition.Status = metav1.ConditionFalse
		condition.Reason = clusterv1alpha1.ClusterReasonPartialDiscovery
		condition.Message = "discovery fails for " + listed(apis.Incomplete())
	}
	return condition
}
