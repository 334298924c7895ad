// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Kind is a kind whose objects in members are shown in the fleet.
type Kind struct {
	// Resource is what members serve it as.
	Resource schema.GroupVersionResource
	// Kind is its kind.
	Kind string
	// Namespaced says that it is.
	Namespaced bool
	// Suffixed says that names are always <name>.<member>.
	Suffixed bool
	// Selector is a label selector for what is read from members; empty is all.
	Selector string
	// New returns an object, NewList a list, in the version members serve.
	New, NewList func() runtime.Object
	// Project makes of a member's object, in that version, what the fleet shows, and
	// returns false when it does not show it. The label with the member's name is set
	// already, and the name becomes the fleet's afterwards.
	Project func(member string, object runtime.Object, owners Owners) bool
	// Own says why a change of the object in the fleet cannot be one in the member,
	// nil when it can. Both are in the version members serve.
	Own func(before, after runtime.Object) error
}

// Owners knows which object of the fleet stands behind an object of a member.
type Owners interface {
	// Owner returns the fleet's owner for what a member's owner reference says of an
	// object in a namespace, and false when there is none.
	Owner(member, namespace string, reference metav1.OwnerReference, labels map[string]string) (metav1.OwnerReference, bool)
}

// NoOwners knows of none.
type NoOwners struct{}

// Owner implements Owners.
func (NoOwners) Owner(string, string, metav1.OwnerReference, map[string]string) (metav1.OwnerReference, bool) {
	return metav1.OwnerReference{}, false
}

// observe makes an observation of a member's object, which is used up. It returns
// false for one that is not shown.
func (k *Kind) observe(member string, object runtime.Object, owners Owners) (observation, bool, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return observation{}, false, err
	}
	seen := observation{key: k.key(member, accessor), version: numberOf(accessor.GetResourceVersion())}
	accessor.SetManagedFields(nil)
	labels := accessor.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[wellknown.LabelCluster] = member
	accessor.SetLabels(labels)
	accessor.SetOwnerReferences(k.owners(member, accessor, owners))
	if !k.Project(member, object, owners) {
		return seen, false, nil
	}
	if seen.object, err = k.internal(object); err != nil {
		return seen, false, fmt.Errorf("convert %s %q of member %q: %w", k.Kind, seen.key, member, err)
	}
	return seen, true, nil
}

// key is the key a member's object wants to have in the fleet.
func (k *Kind) key(member string, object metav1.Object) string {
	if k.Suffixed {
		return keyOf(object) + "." + member
	}
	return keyOf(object)
}

// nameIn is the name in the member of an object that wants a name in the fleet.
func (k *Kind) nameIn(member, name string) string {
	if k.Suffixed {
		return strings.TrimSuffix(name, "."+member)
	}
	return name
}

// owners are the fleet's owners of a member's object. None of them is to wait for
// it when it is deleted in the foreground: the member does that.
func (k *Kind) owners(member string, object metav1.Object, owners Owners) []metav1.OwnerReference {
	var found []metav1.OwnerReference
	for _, reference := range object.GetOwnerReferences() {
		if owner, ok := owners.Owner(member, object.GetNamespace(), reference, object.GetLabels()); ok {
			owner.Controller, owner.BlockOwnerDeletion = reference.Controller, nil
			found = append(found, owner)
		}
	}
	return found
}

// internal defaults an object and returns it in the version registries use.
func (k *Kind) internal(object runtime.Object) (runtime.Object, error) {
	legacyscheme.Scheme.Default(object)
	return legacyscheme.Scheme.ConvertToVersion(object, runtime.InternalGroupVersioner)
}

// external returns an object in the version members serve.
func (k *Kind) external(object runtime.Object) (runtime.Object, error) {
	return legacyscheme.Scheme.ConvertToVersion(object, k.Resource.GroupVersion())
}

// numberOf reads a resource version, 0 if it is no number.
func numberOf(version string) uint64 {
	number, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0
	}
	return number
}
