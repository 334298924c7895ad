// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member"
	"fleet.dev/fleet/pkg/render"
)

// spareRestart leaves the stamp out of the Pod template of a desired object that is
// to take over a running one: the stamp alone would restart the Pods. The object
// then says which stamp it lacks (wellknown.AnnotationUnstamped), so that it goes
// on without until the template gets another one; then Pods are replaced anyway.
func spareRestart(schema *member.Schema, step step, desired *unstructured.Unstructured, live *observed) error {
	path := stampPath(desired)
	if path == nil || live == nil {
		return nil
	}
	stamp, _, _ := unstructured.NestedString(desired.Object, path...)
	if stamp == "" {
		return nil
	}
	running, err := live.decode()
	if err != nil {
		return err
	}
	switch has, _, _ := unstructured.NestedString(running.Object, path...); {
	case has == stamp:
		return nil
	case live.Annotations[wellknown.AnnotationUnstamped] == stamp:
	case step == adopt:
	case step == overwrite:
		if changed, err := changesPods(schema, desired, live); changed || err != nil {
			return err
		}
	default:
		return nil
	}
	unstamp(desired)
	annotate(desired, wellknown.AnnotationUnstamped, stamp)
	return nil
}

// stampPath is where the stamp of the object is, nil for kinds without a Pod
// template.
func stampPath(object *unstructured.Unstructured) []string {
	path, ok := render.PodTemplatePath(object.GroupVersionKind().GroupKind())
	if !ok {
		return nil
	}
	return append(path, "metadata", "labels", wellknown.LabelTemplate)
}

func unstamp(object *unstructured.Unstructured) {
	path := stampPath(object)
	unstructured.RemoveNestedField(object.Object, path...)
	// Server-side apply would own an empty map, and the metadata around it.
	for _, depth := range []int{len(path) - 1, len(path) - 2} {
		if left, _, _ := unstructured.NestedMap(object.Object, path[:depth]...); len(left) == 0 {
			unstructured.RemoveNestedField(object.Object, path[:depth]...)
		}
	}
}

// changesPods returns true when applying desired would change the Pod template by
// more than the stamp.
func changesPods(schema *member.Schema, desired *unstructured.Unstructured, live *observed) (bool, error) {
	unstamped := desired.DeepCopy()
	unstamp(unstamped)
	diff, err := compare(schema, unstamped, live)
	if err != nil {
		return false, err
	}
	path, _ := render.PodTemplatePath(desired.GroupVersionKind().GroupKind())
	changed := false
	diff.changed.Iterate(func(p fieldpath.Path) {
		changed = changed || len(p) >= len(path) && isBelow(p, path) && !isProvenance(p)
	})
	return changed, nil
}

// isBelow returns true for the path of a field at or below the one of the names.
func isBelow(path fieldpath.Path, names []string) bool {
	at := make([]string, 0, len(names))
	for i := range names {
		if path[i].FieldName == nil {
			return false
		}
		at = append(at, *path[i].FieldName)
	}
	return slices.Equal(at, names)
}
