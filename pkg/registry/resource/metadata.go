// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// accessor returns the metadata of an object of the fleet's scheme, all of which
// have some.
func accessor(obj runtime.Object) metav1.Object {
	object, err := meta.Accessor(obj)
	utilruntime.Must(err)
	return object
}

func generationOf(obj runtime.Object) int64 { return accessor(obj).GetGeneration() }

func setGeneration(obj runtime.Object, generation int64) { accessor(obj).SetGeneration(generation) }

// keepMetadata restores the metadata that a status write must not change.
// managedFields and resourceVersion are the request's.
func keepMetadata(obj, old runtime.Object) {
	object, before := accessor(obj), accessor(old)
	object.SetGeneration(before.GetGeneration())
	object.SetLabels(before.GetLabels())
	object.SetAnnotations(before.GetAnnotations())
	object.SetFinalizers(before.GetFinalizers())
	object.SetOwnerReferences(before.GetOwnerReferences())
}
