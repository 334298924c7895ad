// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package join

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member"
)

// Cluster returns the member of that name.
func (f *Fleet) Cluster(ctx context.Context, name string) (*clusterv1alpha1.Cluster, error) {
	cluster, err := f.fleet.ClusterV1alpha1().Clusters().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get Cluster %q: %w", name, FleetError(err))
	}
	return cluster, nil
}

// StoredMember returns the member as the fleet itself reaches it. The stored
// credentials are gone once the member has left.
func (f *Fleet) StoredMember(ctx context.Context, cluster *clusterv1alpha1.Cluster) (*Member, error) {
	ref := cluster.Spec.SecretRef
	if ref == nil {
		return nil, fmt.Errorf("the fleet has no credentials for Cluster %q", cluster.Name)
	}
	secret, err := f.kube.CoreV1().Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get the credentials in Secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	config, err := member.RESTConfig(cluster, secret)
	if err != nil {
		return nil, err
	}
	return NewMember(config)
}

// Leaving says how a member leaves.
type Leaving struct {
	// KeepObjects releases the objects of the fleet and leaves them running,
	// instead of deleting them.
	KeepObjects bool
	// Force does not wait for the member: what it has not confirmed may be left
	// there.
	Force bool
}

// annotations tell the cluster controller.
func (l Leaving) annotations() map[string]string {
	annotations := map[string]string{}
	if l.KeepObjects {
		annotations[wellknown.AnnotationUnjoinKeepObjects] = "true"
	}
	if l.Force {
		annotations[wellknown.AnnotationUnjoinForce] = "true"
	}
	return annotations
}

// Delete starts to unjoin a member. It may be called again, and may then force
// what was not forced before.
func (f *Fleet) Delete(ctx context.Context, cluster *clusterv1alpha1.Cluster, how Leaving) error {
	clusters := f.fleet.ClusterV1alpha1().Clusters()
	if annotations := how.annotations(); len(annotations) > 0 {
		// They have to be there first: deletion begins with the next call.
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": cluster.UID, "annotations": annotations}})
		if err != nil {
			return fmt.Errorf("make the patch of Cluster %q: %w", cluster.Name, err)
		}
		if _, err := clusters.Patch(ctx, cluster.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}); err != nil {
			return fmt.Errorf("say on Cluster %q how it leaves: %w", cluster.Name, err)
		}
	}
	err := clusters.Delete(ctx, cluster.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(cluster.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete Cluster %q: %w", cluster.Name, err)
	}
	return nil
}

// AwaitGone waits until the member has left. It calls progress with what it
// waits for, whenever that changes. The error when ctx ends says what was
// missing.
func (f *Fleet) AwaitGone(ctx context.Context, cluster *clusterv1alpha1.Cluster, progress func(message string)) error {
	waiting := newWaiting(progress)
	err := wait.PollUntilContextCancel(ctx, progressPeriod, false, func(ctx context.Context) (bool, error) {
		current, err := f.fleet.ClusterV1alpha1().Clusters().Get(ctx, cluster.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && current.UID != cluster.UID {
			return true, nil
		}
		if err != nil {
			return false, waiting.onError(ctx, err)
		}
		waiting.on(unjoining(current))
		return false, nil
	})
	return waiting.explain(fmt.Sprintf("wait for Cluster %q to be gone", cluster.Name), err)
}

// unjoining says what the unjoin of a Cluster waits for.
func unjoining(cluster *clusterv1alpha1.Cluster) string {
	condition := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionUnjoining)
	if condition == nil {
		return "the controller manager of the fleet has not begun yet"
	}
	ready := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady)
	if ready != nil && ready.Status != metav1.ConditionTrue && condition.Reason == clusterv1alpha1.ClusterReasonReleasingObjects {
		return fmt.Sprintf("%s; the member is not ready (%s: %s)", condition.Message, ready.Reason, ready.Message)
	}
	return condition.Message
}
