// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// accessor returns the metadata of an object of the fleet's scheme, all of which
// have some.
func accessor(obj runtime.Object) metav1.Object {
	object, err := meta.Accessor(obj)
	utilruntime.Must(err)
	return object
}

// Attributes returns what selectors match: the labels of an object, its name and
// namespace, and what extra, which may be nil, adds to these fields. It is called
// for every event and every object of a list.
func Attributes(namespaced bool, extra func(runtime.Object, fields.Set)) storage.AttrFunc {
	basic := storage.AttrFunc(storage.DefaultClusterScopedAttr)
	if namespaced {
		basic = storage.DefaultNamespaceScopedAttr
	}
	if extra == nil {
		return basic
	}
	return basic.WithFieldMutation(func(obj runtime.Object, set fields.Set) error {
		extra(obj, set)
		return nil
	})
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
