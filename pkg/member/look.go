// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
)

// Metadata implements Connection.
func (m *Member) Metadata() metadata.Interface { return m.metadata }

// Look implements Connection.
func (m *Member) Look() (*APIs, error) {
	_, lists, err := m.discovery.ServerGroupsAndResources()
	failed, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partial {
		return nil, fmt.Errorf("discover the APIs of member %q: %w", m.name, err)
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("discover the APIs of member %q: it lists none", m.name)
	}
	return newAPIs(lists, failed, nil), nil
}

// Defines implements Connection.
func (m *Member) Defines(ctx context.Context, kind schema.GroupKind) (bool, error) {
	defines := func(crd *unstructured.Unstructured) bool {
		name, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		return name == kind.Kind
	}
	found, err := m.anyOfGroup(ctx, apiResources[0], kind.Group, defines)
	if found || err != nil {
		return found, err
	}
	return m.anyOfGroup(ctx, apiResources[1], kind.Group, isUnavailable)
}

// anyOfGroup returns true if is does for one of the objects that are named after
// the group: names of CRDs and APIServices end in it.
func (m *Member) anyOfGroup(ctx context.Context, resource schema.GroupVersionResource, group string, is func(*unstructured.Unstructured) bool) (bool, error) {
	list, err := m.metadata.Resource(resource).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil // it has no such resource
	}
	if err != nil {
		return false, fmt.Errorf("list %s of member %q: %w", resource.Resource, m.name, err)
	}
	for i := range list.Items {
		name := list.Items[i].Name
		if !strings.HasSuffix(name, "."+group) {
			continue
		}
		object, err := m.objects.Resource(resource).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("get %s %q of member %q: %w", resource.Resource, name, m.name, err)
		}
		if is(object) {
			return true, nil
		}
	}
	return false, nil
}

// isUnavailable returns true for an APIService whose backend does not answer.
func isUnavailable(service *unstructured.Unstructured) bool {
	if _, remote, _ := unstructured.NestedMap(service.Object, "spec", "service"); !remote {
		return false
	}
	conditions, _, _ := unstructured.NestedSlice(service.Object, "status", "conditions")
	for _, item := range conditions {
		condition, _ := item.(map[string]any)
		if condition["type"] == "Available" {
			return condition["status"] != string(metav1.ConditionTrue)
		}
	}
	return true
}
