// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

// PriorityClasses is the kind of PriorityClasses.
var PriorityClasses = schema.GroupKind{Group: schedulingv1.GroupName, Kind: "PriorityClass"}

// PriorityClassKey returns the key of a PriorityClass.
func PriorityClassKey(name string) Key {
	return Key{Group: PriorityClasses.Group, Kind: PriorityClasses.Kind, Name: name}
}

func readPriorityClass(c *schedulingv1.PriorityClass) Traits {
	return Traits{Priority: &Priority{
		Value:    c.Value,
		Preempts: ptr.Deref(c.PreemptionPolicy, corev1.PreemptLowerPriority) != corev1.PreemptNever,
		Default:  c.GlobalDefault,
	}}
}
