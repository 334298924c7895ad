// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// spareResources has a Pod that runs keep the resources it has. They change by its
// subresource resize alone, which the fleet's API server asks the member for when
// somebody resizes its Pod, or which is called in the member; applied, another value
// would be refused.
func spareResources(t target, desired *unstructured.Unstructured, live *observed) error {
	if live == nil || t.kind.GroupKind() != (schema.GroupKind{Kind: "Pod"}) {
		return nil
	}
	running, err := live.decode()
	if err != nil {
		return err
	}
	if err := keepField(desired.Object, running.Object, "spec", "resources"); err != nil {
		return err
	}
	for _, list := range []string{"containers", "initContainers"} {
		wanted, _, err := unstructured.NestedSlice(desired.Object, "spec", list)
		if err != nil || len(wanted) == 0 {
			continue // comparing tells what is wrong
		}
		has, _, _ := unstructured.NestedSlice(running.Object, "spec", list)
		if err := keepResources(wanted, has); err != nil {
			return err
		}
		if err := unstructured.SetNestedSlice(desired.Object, wanted, "spec", list); err != nil {
			return fmt.Errorf("keep resources of %s: %w", t, err)
		}
	}
	return nil
}

// keepResources gives containers the resources that those of the same names have.
func keepResources(wanted, has []any) error {
	byName := map[any]map[string]any{}
	for i := range has {
		if container, ok := has[i].(map[string]any); ok {
			byName[container["name"]] = container
		}
	}
	for i := range wanted {
		container, ok := wanted[i].(map[string]any)
		if !ok || byName[container["name"]] == nil {
			continue
		}
		if err := keepField(container, byName[container["name"]], "resources"); err != nil {
			return err
		}
	}
	return nil
}

// keepField makes a field what it is in another object, absent if it is there.
func keepField(wanted, has map[string]any, path ...string) error {
	value, found, err := unstructured.NestedFieldCopy(has, path...)
	if err != nil || !found {
		unstructured.RemoveNestedField(wanted, path...)
		return nil //nolint:nilerr // what is no object has no such field
	}
	return unstructured.SetNestedField(wanted, value, path...)
}
