// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/cmd/fleet/inspect"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/render"
)

// Diff returns what applying the manifest would change in the member now: each
// change says what a field was there, and what it would be. The member is asked by a
// trial, so that its defaults, and fields that others own, are no difference. The
// marks of the fleet are none either.
func (m *Member) Diff(ctx context.Context, mapping *meta.RESTMapping, manifest map[string]any) ([]inspect.Change, error) {
	desired := &unstructured.Unstructured{Object: manifest}
	objects := in(m.Objects, mapping, desired.GetNamespace())
	live, err := objects.Get(ctx, desired.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return inspect.Differences(nil, withoutMarks(desired)), nil
	}
	if err != nil {
		return nil, fmt.Errorf("get %s %q from member %q: %w", desired.GetKind(), desired.GetName(), m.Name, err)
	}
	if _, ok := live.GetAnnotations()[wellknown.AnnotationUnstamped]; ok {
		unstamp(desired)
	}
	// Which objects own it there the syncer finds out.
	unstructured.RemoveNestedField(desired.Object, "metadata", "ownerReferences")
	body, err := json.Marshal(desired.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s %q: %w", desired.GetKind(), desired.GetName(), err)
	}
	force := true
	merged, err := objects.Patch(ctx, desired.GetName(), types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: wellknown.FieldManager, Force: &force, DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, fmt.Errorf("try %s %q on member %q: %w", desired.GetKind(), desired.GetName(), m.Name, err)
	}
	return inspect.Differences(withoutMarks(live), withoutMarks(merged)), nil
}

func unstamp(object *unstructured.Unstructured) {
	if path, ok := render.PodTemplatePath(object.GroupVersionKind().GroupKind()); ok {
		unstructured.RemoveNestedField(object.Object, append(path, "metadata", "labels", wellknown.LabelTemplate)...)
	}
}

// withoutMarks returns the object without what the fleet or the member notes about
// it, and without its status.
func withoutMarks(object *unstructured.Unstructured) map[string]any {
	object = object.DeepCopy()
	delete(object.Object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "ownerReferences"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	metadata, _ := object.Object["metadata"].(map[string]any)
	for _, field := range []string{"labels", "annotations"} {
		values, _ := metadata[field].(map[string]any)
		maps.DeleteFunc(values, func(key string, _ any) bool { return strings.HasPrefix(key, wellknown.Domain+"/") })
		if len(values) == 0 {
			delete(metadata, field)
		}
	}
	return object.Object
}
