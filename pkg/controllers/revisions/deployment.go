// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package revisions

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller"
	deploymentutil "k8s.io/kubernetes/pkg/controller/deployment/util"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/revision"
)

// maxProbes bounds how many names are tried for one record, whose hashes all
// belong to other Pod templates.
const maxProbes = 10

func (c *Controller) reconcileDeployment(ctx context.Context, name types.NamespacedName) (time.Duration, error) {
	deployment, err := c.deployments.Deployments(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) || err == nil && deployment.DeletionTimestamp != nil {
		c.forget(name)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	records, err := c.claim(ctx, deployment)
	if err != nil {
		return 0, fmt.Errorf("adopt revisions of deployment %q: %w", name, err)
	}
	plan := revision.PlanReplicaSets(ctx, deployment, records)
	if plan.Record {
		return 0, c.recordReplicaSet(ctx, deployment, records)
	}
	if err := c.number(ctx, deployment, plan.Number); err != nil {
		return 0, err
	}
	return c.carryOut(ctx, name, plan)
}

// number has a Deployment say which revision it is of, as the Deployment controller of a
// cluster does.
func (c *Controller) number(ctx context.Context, deployment *appsv1.Deployment, number string) error {
	if number == "" || deployment.Annotations[deploymentutil.RevisionAnnotation] == number {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": deployment.UID, "annotations": map[string]string{deploymentutil.RevisionAnnotation: number},
	}})
	if err != nil {
		return err
	}
	_, err = c.client.AppsV1().Deployments(deployment.Namespace).Patch(ctx, deployment.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return wrap(err, "number deployment %q", klog.KObj(deployment))
}

// claim returns the records of a Deployment, those among them that lost their owner
// adopted.
func (c *Controller) claim(ctx context.Context, deployment *appsv1.Deployment) ([]*appsv1.ReplicaSet, error) {
	objects, err := c.replicaSets.ByIndex(byDeployment, deployment.Namespace+"/"+deployment.Name)
	if err != nil {
		return nil, err
	}
	var found []*appsv1.ReplicaSet
	for _, object := range objects {
		if rs, ok := object.(*appsv1.ReplicaSet); ok {
			found = append(found, rs)
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(deployment.Spec.Selector)
	if err != nil {
		return nil, err
	}
	canAdopt := controller.RecheckDeletionTimestamp(func(ctx context.Context) (metav1.Object, error) {
		fresh, err := c.client.AppsV1().Deployments(deployment.Namespace).Get(ctx, deployment.Name, metav1.GetOptions{})
		if err == nil && fresh.UID != deployment.UID {
			return nil, fmt.Errorf("deployment %q is another one by now", deployment.Name)
		}
		return fresh, err
	})
	return controller.NewReplicaSetControllerRefManager(c.rsControl, deployment, selector, revision.DeploymentKind, canAdopt).ClaimReplicaSets(ctx, found)
}

// recordReplicaSet makes the record of the current Pod template.
func (c *Controller) recordReplicaSet(ctx context.Context, deployment *appsv1.Deployment, old []*appsv1.ReplicaSet) error {
	stamp, err := revision.Stamp(deployment, revision.DeploymentKind)
	if err != nil {
		return err
	}
	sets := c.client.AppsV1().ReplicaSets(deployment.Namespace)
	return probe(deployment.Status.CollisionCount, func(count *int32) (bool, error) {
		recorded := revision.NewReplicaSet(ctx, deployment, old, stamp, count)
		_, err := sets.Create(ctx, recorded, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			klog.FromContext(ctx).V(2).Info("Recorded a revision", "replicaSet", klog.KObj(recorded))
			return true, wrap(err, "create replica set %q", recorded.Name)
		}
		existing, err := sets.Get(ctx, recorded.Name, metav1.GetOptions{})
		if err != nil {
			return true, wrap(err, "get replica set %q", recorded.Name)
		}
		return revision.Records(existing, deployment) || ofEarlier(existing, deployment), nil
	})
}

// probe tries names until one is free, or is that of the same record already.
func probe(count *int32, try func(count *int32) (done bool, err error)) error {
	for range maxProbes {
		if done, err := try(count); done || err != nil {
			return err
		}
		count = new(ptr.Deref(count, 0) + 1)
	}
	return fmt.Errorf("name a revision: %d names belong to others", maxProbes)
}

// ofEarlier says whether a record is of a workload of the same name that was deleted.
// When the garbage collector has dealt with it, its event brings the workload back.
func ofEarlier(recorded, workload metav1.Object) bool {
	owner := metav1.GetControllerOfNoCopy(recorded)
	return owner != nil && owner.Name == workload.GetName() && owner.UID != workload.GetUID()
}

// wrap says what failed, if something did.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// carryOut writes what differs. Numbers of a rollout that goes on wait for more: it
// returns how long.
func (c *Controller) carryOut(ctx context.Context, name types.NamespacedName, plan revision.ReplicaSets) (time.Duration, error) {
	sets := c.client.AppsV1().ReplicaSets(name.Namespace)
	for _, rs := range plan.Update {
		if _, err := sets.Update(ctx, rs, metav1.UpdateOptions{}); err != nil {
			return 0, wrap(err, "update replica set %q", rs.Name)
		}
	}
	for _, rs := range plan.Delete {
		options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &rs.UID, ResourceVersion: &rs.ResourceVersion}}
		if err := sets.Delete(ctx, rs.Name, options); err != nil && !apierrors.IsNotFound(err) {
			return 0, wrap(err, "delete replica set %q", rs.Name)
		}
	}
	if len(plan.Status) > 0 && !plan.Settled {
		if left := c.untilDue(name); left > 0 {
			return left, nil
		}
	}
	c.forget(name)
	for _, rs := range plan.Status {
		if _, err := sets.UpdateStatus(ctx, rs, metav1.UpdateOptions{}); err != nil {
			return 0, wrap(err, "update status of replica set %q", rs.Name)
		}
	}
	return 0, nil
}

// untilDue returns how long numbers of a Deployment still wait for more, from the first
// that waited.
func (c *Controller) untilDue(name types.NamespacedName) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	due, ok := c.due[name]
	if !ok {
		due = c.clock.Now().Add(statusPeriod)
		c.due[name] = due
	}
	return due.Sub(c.clock.Now())
}

func (c *Controller) forget(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.due, name)
}
