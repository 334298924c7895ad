// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// installed is what an installation of the agent consists of, beside its
// ClusterRole.
var installed = []struct {
	schema.GroupVersionResource
	namespace, name string
}{
	{corev1.SchemeGroupVersion.WithResource("namespaces"), "", wellknown.NamespaceSystem},
	{rbacv1.SchemeGroupVersion.WithResource("clusterrolebindings"), "", wellknown.AgentName},
	{corev1.SchemeGroupVersion.WithResource("serviceaccounts"), wellknown.NamespaceSystem, wellknown.AgentName},
	{corev1.SchemeGroupVersion.WithResource("secrets"), wellknown.NamespaceSystem, wellknown.AgentName},
	{appsv1.SchemeGroupVersion.WithResource("deployments"), wellknown.NamespaceSystem, wellknown.AgentName},
}

// own makes the ClusterRole the owner of the rest of the installation, so that
// all goes with it. A manifest cannot say that, for the owner is named by uid.
// What does not carry the agent's label was there before, and stays.
func own(ctx context.Context, member metadata.Interface) error {
	role, err := member.Resource(rbacv1.SchemeGroupVersion.WithResource("clusterroles")).Get(ctx, wellknown.AgentName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // run by other means
	}
	if err != nil {
		return fmt.Errorf("get ClusterRole %q: %w", wellknown.AgentName, err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": []metav1.OwnerReference{{
		APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: role.Name, UID: role.UID,
	}}}})
	if err != nil {
		return fmt.Errorf("encode owner: %w", err)
	}
	for _, part := range installed {
		objects := member.Resource(part.GroupVersionResource).Namespace(part.namespace)
		object, err := objects.Get(ctx, part.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get %s %q: %w", part.Resource, part.name, err)
		}
		if object.Labels[wellknown.LabelApp] != wellknown.AgentName || owns(role.UID, object) {
			continue
		}
		if _, err := objects.Patch(ctx, part.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: wellknown.AgentName}); err != nil {
			return fmt.Errorf("make ClusterRole %q the owner of %s %q: %w", role.Name, part.Resource, part.name, err)
		}
	}
	return nil
}

func owns(owner types.UID, object *metav1.PartialObjectMetadata) bool {
	for _, reference := range object.OwnerReferences {
		if reference.UID == owner {
			return true
		}
	}
	return false
}
