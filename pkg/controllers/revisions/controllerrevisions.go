// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package revisions

import (
	"bytes"
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller"

	"fleet.dev/fleet/pkg/revision"
)

func (c *Controller) reconcileStatefulSet(ctx context.Context, name types.NamespacedName) (time.Duration, error) {
	set, err := c.statefulSets.StatefulSets(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return 0, c.reconcileWorkload(ctx, revision.OfStatefulSet(set), set.Status.CollisionCount, func(ctx context.Context) (metav1.Object, error) {
		return c.client.AppsV1().StatefulSets(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	})
}

func (c *Controller) reconcileDaemonSet(ctx context.Context, name types.NamespacedName) (time.Duration, error) {
	set, err := c.daemonSets.DaemonSets(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return 0, c.reconcileWorkload(ctx, revision.OfDaemonSet(set), set.Status.CollisionCount, func(ctx context.Context) (metav1.Object, error) {
		return c.client.AppsV1().DaemonSets(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	})
}

// reconcileWorkload keeps the ControllerRevisions of a workload. live reads it from the
// API server.
func (c *Controller) reconcileWorkload(ctx context.Context, workload revision.Workload, collisions *int32, live func(context.Context) (metav1.Object, error)) error {
	if workload.GetDeletionTimestamp() != nil {
		return nil
	}
	existing, err := c.revisionsOf(ctx, workload, live)
	if err != nil {
		return fmt.Errorf("list revisions of %s %q: %w", workload.Kind.Kind, workload.GetName(), err)
	}
	plan, err := revision.PlanControllerRevisions(workload, existing)
	switch {
	case err != nil:
		return err
	case plan.Record:
		return c.recordControllerRevision(ctx, workload, plan.Number, collisions)
	case plan.Renumber != nil:
		_, err := c.history.UpdateControllerRevision(plan.Renumber, plan.Number)
		return wrap(err, "renumber revision %q", plan.Renumber.Name)
	}
	for _, past := range plan.Delete {
		if err := c.history.DeleteControllerRevision(past); err != nil && !apierrors.IsNotFound(err) {
			return wrap(err, "delete revision %q", past.Name)
		}
	}
	return nil
}

// revisionsOf returns the revisions of a workload, those that lost their owner adopted.
func (c *Controller) revisionsOf(ctx context.Context, workload revision.Workload, live func(context.Context) (metav1.Object, error)) ([]*appsv1.ControllerRevision, error) {
	selector, err := metav1.LabelSelectorAsSelector(workload.Selector)
	if err != nil {
		return nil, err
	}
	existing, err := c.history.ListControllerRevisions(workload, workload.Kind, selector)
	if err != nil {
		return nil, err
	}
	canAdopt := controller.RecheckDeletionTimestamp(func(ctx context.Context) (metav1.Object, error) {
		fresh, err := live(ctx)
		if err == nil && fresh.GetUID() != workload.GetUID() {
			return nil, fmt.Errorf("%s %q is another one by now", workload.Kind.Kind, workload.GetName())
		}
		return fresh, err
	})
	for i, found := range existing {
		if metav1.GetControllerOfNoCopy(found) != nil || found.DeletionTimestamp != nil {
			continue
		}
		if err := canAdopt(ctx); err != nil {
			return nil, err
		}
		if existing[i], err = c.history.AdoptControllerRevision(workload, workload.Kind, found); err != nil {
			return nil, err
		}
	}
	return existing, nil
}

// recordControllerRevision makes the record of the current Pod template.
func (c *Controller) recordControllerRevision(ctx context.Context, workload revision.Workload, number int64, collisions *int32) error {
	stamp, err := revision.Stamp(workload.Object, workload.Kind)
	if err != nil {
		return err
	}
	revisions := c.client.AppsV1().ControllerRevisions(workload.GetNamespace())
	return probe(collisions, func(count *int32) (bool, error) {
		recorded, err := revision.NewControllerRevision(workload, number, stamp, count)
		if err != nil {
			return true, err
		}
		_, err = revisions.Create(ctx, recorded, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			klog.FromContext(ctx).V(2).Info("Recorded a revision", "controllerRevision", klog.KObj(recorded))
			return true, wrap(err, "create revision %q", recorded.Name)
		}
		existing, err := revisions.Get(ctx, recorded.Name, metav1.GetOptions{})
		if err != nil {
			return true, wrap(err, "get revision %q", recorded.Name)
		}
		same := metav1.IsControlledBy(existing, workload) && bytes.Equal(existing.Data.Raw, recorded.Data.Raw)
		return same || ofEarlier(existing, workload), nil
	})
}
