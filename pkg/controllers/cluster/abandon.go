// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const (
	// subresourceTombstones is through which tombstones are taken away that no
	// member will confirm.
	subresourceTombstones = "tombstones"
	// listPage is how many bindings are read at a time.
	listPage = 500
)

// forced says whether a member is let go without its word.
func forced(cluster *clusterv1alpha1.Cluster) bool {
	return cluster.Annotations[wellknown.AnnotationUnjoinForce] == "true"
}

// buried says whether the binding has tombstones of the member.
func buried(spec *workv1alpha1.BindingSpec, cluster string) bool {
	return slices.ContainsFunc(spec.Tombstones, func(t workv1alpha1.Tombstone) bool { return t.ClusterName == cluster })
}

// abandon takes a member that will not confirm anything out of bindings, its
// tombstones included. What the fleet put on it may stay there.
func (c *Controller) abandon(ctx context.Context, cluster *clusterv1alpha1.Cluster, bindings []workv1alpha1.Binding) error {
	var taken atomic.Int64
	err := each(bindings, func(binding workv1alpha1.Binding) error {
		if err := c.dropFromBinding(ctx, cluster, klog.KObj(binding)); err != nil {
			return err
		}
		n, err := c.takeTombstones(ctx, cluster.Name, klog.KObj(binding))
		taken.Add(int64(n))
		return err
	})
	if n := taken.Load(); n > 0 {
		c.recorder.Eventf(cluster, corev1.EventTypeWarning, reasonObjectsRemain,
			"Unjoined by force: %d objects may be left on the member, which has not confirmed that they are %s", n, outcome(cluster))
	}
	return err
}

// sweep takes away the tombstones of a Cluster that does not exist: nobody will
// ever confirm them. A live read decides that, not a cache.
func (c *Controller) sweep(ctx context.Context, name string) error {
	bindings, err := c.bindingsOf(name)
	if err != nil {
		return err
	}
	bindings = slices.DeleteFunc(bindings, func(binding workv1alpha1.Binding) bool { return !buried(binding.GetSpec(), name) })
	if len(bindings) == 0 {
		return nil
	}
	_, err = c.fleetClient.ClusterV1alpha1().Clusters().Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		return nil // its event is on the way
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("get cluster %q: %w", name, err)
	}
	klog.FromContext(ctx).Info("Dropping the tombstones of a Cluster that does not exist; its objects may be left on the member", "bindings", len(bindings))
	return each(bindings, func(binding workv1alpha1.Binding) error {
		_, err := c.takeTombstones(ctx, name, klog.KObj(binding))
		return err
	})
}

// takeTombstones takes away the tombstones of a member and returns how many there
// were.
func (c *Controller) takeTombstones(ctx context.Context, cluster string, ref klog.ObjectRef) (taken int, err error) {
	err = retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		binding, err := c.getBinding(ctx, ref)
		if err != nil {
			return err
		}
		before := len(binding.GetSpec().Tombstones)
		kept := slices.DeleteFunc(binding.GetSpec().Tombstones, func(t workv1alpha1.Tombstone) bool { return t.ClusterName == cluster })
		if taken = before - len(kept); taken == 0 {
			return nil
		}
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": binding.GetUID(), "resourceVersion": binding.GetResourceVersion()},
			"spec":     map[string]any{"tombstones": kept},
		})
		if err != nil {
			return err
		}
		return c.patchTombstones(ctx, ref, patch)
	})
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("drop the tombstones of cluster %q from binding %q: %w", cluster, ref, err)
	}
	return taken, nil
}

// patchTombstones writes the subresource of a binding of either scope.
func (c *Controller) patchTombstones(ctx context.Context, ref klog.ObjectRef, patch []byte) (err error) {
	work := c.fleetClient.WorkV1alpha1()
	if ref.Namespace == "" {
		_, err = work.ClusterResourceBindings().Patch(ctx, ref.Name, types.MergePatchType, patch, metav1.PatchOptions{}, subresourceTombstones)
	} else {
		_, err = work.ResourceBindings(ref.Namespace).Patch(ctx, ref.Name, types.MergePatchType, patch, metav1.PatchOptions{}, subresourceTombstones)
	}
	return err
}

// anyBindingLive asks the server, past all caches, whether any binding touches
// the member.
func (c *Controller) anyBindingLive(ctx context.Context, name string) (bool, error) {
	work := c.fleetClient.WorkV1alpha1()
	for _, list := range []func(metav1.ListOptions) (runtime.Object, error){
		func(o metav1.ListOptions) (runtime.Object, error) {
			return work.ResourceBindings(metav1.NamespaceAll).List(ctx, o)
		},
		func(o metav1.ListOptions) (runtime.Object, error) { return work.ClusterResourceBindings().List(ctx, o) },
	} {
		if found, err := anyTouches(list, name); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// anyTouches reads a list, page by page, until a binding touches the member.
func anyTouches(list func(metav1.ListOptions) (runtime.Object, error), name string) (found bool, err error) {
	options := metav1.ListOptions{Limit: listPage}
	for {
		page, err := list(options)
		if err != nil {
			return false, fmt.Errorf("list the bindings of cluster %q: %w", name, err)
		}
		if err := meta.EachListItem(page, func(item runtime.Object) error {
			if binding, ok := item.(workv1alpha1.Binding); ok && touched(binding.GetSpec()).Has(name) {
				found = true
			}
			return nil
		}); err != nil {
			return false, fmt.Errorf("read the bindings of cluster %q: %w", name, err)
		}
		listed, err := meta.ListAccessor(page)
		if err != nil || found || listed.GetContinue() == "" {
			return found, err
		}
		options.Continue = listed.GetContinue()
	}
}
