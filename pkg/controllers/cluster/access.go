// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// SyncerAccess returns the RoleBinding by which the push syncer reads and rotates
// the credentials of one member. In no other namespace it may read Secrets.
func SyncerAccess(cluster string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: wellknown.RoleCredentials, Namespace: clusterv1alpha1.MemberNamespace(cluster)},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: wellknown.RoleCredentials},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: wellknown.UserSyncer}},
	}
}

// ensureSyncerAccess makes the RoleBinding of a member in Push mode, once: what an
// administrator makes of it stays.
func (c *Controller) ensureSyncerAccess(ctx context.Context, cluster *clusterv1alpha1.Cluster) error {
	if cluster.Spec.SyncMode != clusterv1alpha1.Push {
		return nil
	}
	binding := SyncerAccess(cluster.Name)
	if _, err := c.roleBindings.RoleBindings(binding.Namespace).Get(binding.Name); !apierrors.IsNotFound(err) {
		return err
	}
	_, err := c.kubeClient.RbacV1().RoleBindings(binding.Namespace).Create(ctx, binding, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("let the syncer read the credentials in namespace %q: create RoleBinding %q: %w", binding.Namespace, binding.Name, err)
	}
	return nil
}
