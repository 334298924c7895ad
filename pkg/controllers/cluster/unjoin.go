// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const (
	// dropParallelism is how many bindings are rewritten at a time.
	dropParallelism = 8
	// progressPeriod is how often the progress of an unjoin is looked at, and
	// so at most written.
	progressPeriod = 500 * time.Millisecond
)

// unjoin takes a deleted Cluster apart, one step per call:
//
//  1. the taint terminating, which keeps new templates away
//  2. every binding drops the member, and thereby gets a tombstone for it
//  3. the member confirms the tombstones (feedback removes them), or somebody
//     says that it never will (AnnotationUnjoinForce), and they are abandoned
//  4. its namespace goes, and with it lease, credentials and served works
//  5. the finalizer goes, and with it the Cluster
//
// What happens outside, 3 and the end of 4, calls again by events.
func (c *Controller) unjoin(ctx context.Context, cluster *clusterv1alpha1.Cluster) error {
	if !slices.Contains(cluster.Finalizers, wellknown.FinalizerUnjoin) {
		return nil // held by somebody else; this controller is done
	}
	started, err := c.update(ctx, cluster, func(cl *clusterv1alpha1.Cluster) bool { return setTaint(cl, wantedTaint(cl)) })
	if err != nil {
		return err
	}
	if started {
		c.recorder.Eventf(cluster, corev1.EventTypeNormal, reasonUnjoining, "The fleet's objects on this member are being %s", outcome(cluster))
	}

	bindings, err := c.bindingsOf(cluster.Name)
	if err != nil {
		return err
	}
	if len(bindings) > 0 && forced(cluster) {
		return c.abandon(ctx, cluster, bindings)
	}
	if len(bindings) > 0 {
		message := fmt.Sprintf("objects the member has not yet confirmed as %s: %d", outcome(cluster), len(bindings))
		return errors.Join(
			c.dropFrom(ctx, cluster, bindings),
			c.reportUnjoining(ctx, cluster, clusterv1alpha1.ClusterReasonReleasingObjects, message),
		)
	}

	gone, err := c.removeNamespace(ctx, cluster)
	if err != nil || !gone {
		return err
	}
	left, err := c.update(ctx, cluster, removeFinalizer)
	if left {
		c.recorder.Event(cluster, corev1.EventTypeNormal, reasonUnjoined, "The member has left the fleet")
	}
	return err
}

// removeNamespace deletes the member's namespace, once no binding touches the
// member, and reports whether it is gone.
func (c *Controller) removeNamespace(ctx context.Context, cluster *clusterv1alpha1.Cluster) (gone bool, err error) {
	name := clusterv1alpha1.MemberNamespace(cluster.Name)
	namespace, err := c.namespaces.Get(name)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("get namespace %q: %w", name, err)
	case namespace.DeletionTimestamp.IsZero():
		// The informers may be behind: with the namespace goes what the member's
		// syncer learns of its tombstones by.
		held, err := c.anyBindingLive(ctx, cluster.Name)
		if err != nil {
			return false, err
		}
		if held {
			c.loop.Queue.AddAfter(cluster.Name, progressPeriod)
			return false, nil
		}
		if err := c.deleteNamespace(ctx, namespace); err != nil {
			return false, err
		}
		c.recorder.Eventf(cluster, corev1.EventTypeNormal, reasonReleasedAll, "Nothing of the fleet is left to release on this member; its namespace %s is being deleted", name)
	}
	return false, c.reportUnjoining(ctx, cluster, clusterv1alpha1.ClusterReasonRemovingNamespace, fmt.Sprintf("namespace %s is being deleted", name))
}

func removeFinalizer(cluster *clusterv1alpha1.Cluster) bool {
	before := len(cluster.Finalizers)
	cluster.Finalizers = slices.DeleteFunc(cluster.Finalizers, func(f string) bool { return f == wellknown.FinalizerUnjoin })
	return len(cluster.Finalizers) != before
}

func keepsObjects(cluster *clusterv1alpha1.Cluster) bool {
	return cluster.Annotations[wellknown.AnnotationUnjoinKeepObjects] == "true"
}

func outcome(cluster *clusterv1alpha1.Cluster) string {
	if keepsObjects(cluster) {
		return "released"
	}
	return "deleted"
}

// bindingsOf returns the bindings that touch the member, of both scopes.
func (c *Controller) bindingsOf(name string) ([]workv1alpha1.Binding, error) {
	var bindings []workv1alpha1.Binding
	for _, informer := range c.bindings {
		objects, err := informer.GetIndexer().ByIndex(byCluster, name)
		if err != nil {
			return nil, fmt.Errorf("find the bindings of cluster %q: %w", name, err)
		}
		for _, object := range objects {
			bindings = append(bindings, object.(workv1alpha1.Binding))
		}
	}
	return bindings, nil
}

// dropFrom makes every binding that still wants something on the member drop
// it. Bindings that have tombstones only are left to the member.
func (c *Controller) dropFrom(ctx context.Context, cluster *clusterv1alpha1.Cluster, bindings []workv1alpha1.Binding) error {
	return each(bindings, func(binding workv1alpha1.Binding) error {
		if !wants(binding.GetSpec(), cluster.Name) {
			return nil
		}
		return c.dropFromBinding(ctx, cluster, klog.KObj(binding))
	})
}

// each rewrites bindings, so many at a time.
func each(bindings []workv1alpha1.Binding, rewrite func(workv1alpha1.Binding) error) error {
	errs := make([]error, len(bindings))
	slots := make(chan struct{}, dropParallelism)
	var wg sync.WaitGroup
	for i, binding := range bindings {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = rewrite(binding)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Controller) dropFromBinding(ctx context.Context, cluster *clusterv1alpha1.Cluster, ref klog.ObjectRef) error {
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		binding, err := c.getBinding(ctx, ref)
		if err != nil {
			return err
		}
		if !drop(binding.GetSpec(), cluster.Name, keepsObjects(cluster)) {
			return nil
		}
		return c.updateBinding(ctx, binding)
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("drop cluster %q from binding %q: %w", cluster.Name, ref, err)
	}
	return nil
}

// wants says whether the binding wants its template on the member, for its own
// sake, until it is evicted, or as a dependency.
func wants(spec *workv1alpha1.BindingSpec, cluster string) bool {
	return drop(spec.DeepCopy(), cluster, false)
}

// drop takes the member out of a binding and reports whether it was in. The
// registry turns what leaves into a tombstone that deletes; with keep the
// tombstone is made here, one that only releases the object.
func drop(spec *workv1alpha1.BindingSpec, cluster string, keep bool) bool {
	before := targets(spec)
	isMember := func(t workv1alpha1.TargetCluster) bool { return t.Name == cluster }
	spec.Clusters = slices.DeleteFunc(spec.Clusters, isMember)
	for i := range spec.RequiredBy {
		spec.RequiredBy[i].Clusters = slices.DeleteFunc(spec.RequiredBy[i].Clusters, isMember)
	}
	spec.GracefulEvictionTasks = slices.DeleteFunc(spec.GracefulEvictionTasks, func(t workv1alpha1.GracefulEvictionTask) bool {
		return t.FromCluster == cluster
	})
	if targets(spec) == before {
		return false
	}
	if keep {
		spec.Tombstones = append(spec.Tombstones, workv1alpha1.Tombstone{ClusterName: cluster, UID: spec.Resource.UID, Orphan: true})
	}
	return true
}

// targets counts the places in a binding that name a member.
func targets(spec *workv1alpha1.BindingSpec) int {
	count := len(spec.Clusters) + len(spec.GracefulEvictionTasks)
	for i := range spec.RequiredBy {
		count += len(spec.RequiredBy[i].Clusters)
	}
	return count
}

// getBinding reads a binding of either scope from the fleet.
func (c *Controller) getBinding(ctx context.Context, ref klog.ObjectRef) (workv1alpha1.Binding, error) {
	if ref.Namespace == "" {
		return c.fleetClient.WorkV1alpha1().ClusterResourceBindings().Get(ctx, ref.Name, metav1.GetOptions{})
	}
	return c.fleetClient.WorkV1alpha1().ResourceBindings(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
}

// updateBinding writes the spec of a binding of either scope.
func (c *Controller) updateBinding(ctx context.Context, binding workv1alpha1.Binding) (err error) {
	switch b := binding.(type) {
	case *workv1alpha1.ResourceBinding:
		_, err = c.fleetClient.WorkV1alpha1().ResourceBindings(b.Namespace).Update(ctx, b, metav1.UpdateOptions{})
	case *workv1alpha1.ClusterResourceBinding:
		_, err = c.fleetClient.WorkV1alpha1().ClusterResourceBindings().Update(ctx, b, metav1.UpdateOptions{})
	}
	return err
}

// reportUnjoining says in the status what the unjoin waits for.
func (c *Controller) reportUnjoining(ctx context.Context, cluster *clusterv1alpha1.Cluster, reason, message string) error {
	return c.updateStatus(ctx, cluster, func(status *clusterv1alpha1.ClusterStatus) bool {
		return meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type:               clusterv1alpha1.ClusterConditionUnjoining,
			Status:             metav1.ConditionTrue,
			Reason:             reason,
			Message:            message,
			ObservedGeneration: cluster.Generation,
		})
	})
}

func (c *Controller) deleteNamespace(ctx context.Context, namespace *corev1.Namespace) error {
	err := c.kubeClient.CoreV1().Namespaces().Delete(ctx, namespace.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(namespace.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete namespace %q: %w", namespace.Name, err)
	}
	return nil
}

// enqueueTouched looks at the members of a binding that are being unjoined, and
// at those that have tombstones and no Cluster.
func (c *Controller) enqueueTouched(objects ...any) {
	for _, object := range objects {
		if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = unknown.Obj
		}
		binding, ok := object.(workv1alpha1.Binding)
		if !ok {
			continue
		}
		for name := range touched(binding.GetSpec()) {
			cluster, err := c.clusters.Get(name)
			if err == nil && !cluster.DeletionTimestamp.IsZero() || apierrors.IsNotFound(err) && buried(binding.GetSpec(), name) {
				c.loop.Queue.AddAfter(name, progressPeriod)
			}
		}
	}
}
