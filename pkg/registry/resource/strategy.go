// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Strategy is the common strategy of T: a new object has generation 1, a change
// of its spec raises that, a status can only be written through the subresource.
type Strategy[T runtime.Object] struct {
	runtime.ObjectTyper
	names.NameGenerator

	// Namespaced is the scope.
	Namespaced bool
	// GroupVersion is the served version, for the fields a write does not own.
	GroupVersion schema.GroupVersion
	// Spec returns the part of an object that makes a generation.
	Spec func(T) any
	// ResetStatus gives the object the status of old, or none when old is the
	// zero T. Nil for resources without a status.
	ResetStatus func(object, old T)
	// Prepare changes an object before it is stored; old is the zero T for a new
	// one. May be nil.
	Prepare func(object, old T)
	// Check and CheckUpdate validate.
	Check       func(T) field.ErrorList
	CheckUpdate func(object, old T) field.ErrorList
	// Warn returns what the writer of a valid object should know: parts of its
	// spec that are deprecated or have no effect. May be nil.
	Warn func(T) []string
}

// NamespaceScoped returns the scope.
func (s Strategy[T]) NamespaceScoped() bool { return s.Namespaced }

// AllowCreateOnUpdate is false: names are chosen with create.
func (s Strategy[T]) AllowCreateOnUpdate() bool { return false }

// AllowUnconditionalUpdate is true, as for most of upstream's kinds.
func (s Strategy[T]) AllowUnconditionalUpdate() bool { return true }

// Canonicalize changes nothing.
func (s Strategy[T]) Canonicalize(runtime.Object) {}

// PrepareForCreate clears what the server owns.
func (s Strategy[T]) PrepareForCreate(_ context.Context, obj runtime.Object) {
	var none T
	object := obj.(T)
	if s.ResetStatus != nil {
		s.ResetStatus(object, none)
	}
	setGeneration(obj, 1)
	if s.Prepare != nil {
		s.Prepare(object, none)
	}
}

// PrepareForUpdate keeps what the server owns and raises the generation when the
// spec changed.
func (s Strategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	object, before := obj.(T), old.(T)
	if s.ResetStatus != nil {
		s.ResetStatus(object, before)
	}
	if s.Prepare != nil {
		s.Prepare(object, before)
	}
	s.bump(obj, old)
}

func (s Strategy[T]) bump(obj, old runtime.Object) {
	generation := generationOf(old)
	if !s.sameSpec(obj, old) {
		generation++
	}
	setGeneration(obj, generation)
}

func (s Strategy[T]) sameSpec(obj, old runtime.Object) bool {
	return equality.Semantic.DeepEqual(s.Spec(obj.(T)), s.Spec(old.(T)))
}

// Validate validates a new object.
func (s Strategy[T]) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return s.Check(obj.(T))
}

// ValidateUpdate validates a changed object.
func (s Strategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return s.CheckUpdate(obj.(T), old.(T))
}

// WarningsOnCreate returns what Warn says.
func (s Strategy[T]) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	if s.Warn == nil {
		return nil
	}
	return s.Warn(obj.(T))
}

// WarningsOnUpdate returns what Warn says to whoever changes the spec. Others,
// such as controllers that add a finalizer, cannot do anything about it.
func (s Strategy[T]) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	if s.Warn == nil || s.sameSpec(obj, old) {
		return nil
	}
	return s.Warn(obj.(T))
}

// GetResetFields says that a write to the main resource does not own the status.
func (s Strategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	if s.ResetStatus == nil {
		return nil
	}
	return s.fields("status")
}

func (s Strategy[T]) fields(names ...string) map[fieldpath.APIVersion]*fieldpath.Set {
	set := fieldpath.NewSet()
	for _, name := range names {
		set.Insert(fieldpath.MakePathOrDie(name))
	}
	return map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(s.GroupVersion.String()): set}
}

// StatusStrategy is the strategy of the status subresource: everything but the
// status stays.
type StatusStrategy[T runtime.Object] struct {
	Strategy[T]

	// KeepSpec gives the object the spec of old.
	KeepSpec func(object, old T)
	// CheckStatus validates.
	CheckStatus func(object, old T) field.ErrorList
}

// PrepareForUpdate keeps spec, labels and everything else of the metadata that a
// controller has no business to change.
func (s StatusStrategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	s.KeepSpec(obj.(T), old.(T))
	keepMetadata(obj, old)
}

// ValidateUpdate validates the status.
func (s StatusStrategy[T]) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return s.CheckStatus(obj.(T), old.(T))
}

// WarningsOnUpdate returns none: the spec is another's.
func (s StatusStrategy[T]) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}

// GetResetFields says that a write to the status owns nothing else.
func (s StatusStrategy[T]) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.fields("spec", "metadata")
}
