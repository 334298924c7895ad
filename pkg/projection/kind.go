// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
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
	// Owner returns the key of what an object of a member, in the version members serve,
	// shows of the fleet beyond itself, empty for nothing; see Owners. SetOwner makes an
	// object, in the version registries use, show it, and says whether it did not yet.
	// What the object points to is shared and must not be changed. Both may be nil.
	Owner    func(object runtime.Object) string
	SetOwner func(object runtime.Object, owner Owner) bool
	// Fleeting says that nothing is kept of members while nobody needs it. Watches that
	// are resumed later are told that all was deleted, and came again.
	Fleeting bool
	// ReadOnly says that its objects in members cannot be changed in the fleet.
	ReadOnly bool
	// Suffixed says that names are always <name>.<member>.
	Suffixed bool
	// Selector is a label selector for what is read from members; empty is all.
	Selector string
	// Marked says that only what has the fleet's mark, LabelManagedBy, is read from members.
	Marked bool
	// New returns an object, NewList a list, in the version members serve.
	New, NewList func() runtime.Object
	// Project makes of a member's object, in that version, what the fleet shows, and
	// returns false when it does not show it. The label with the member's name is set
	// already, name and owner become the fleet's afterwards.
	Project func(member string, object runtime.Object) bool
	// References returns which references to owners a member's object shows, as they are in
	// the fleet, whose names have to be those the member says. None by default; see Owner.
	References func(member string, object metav1.Object, owners []metav1.OwnerReference) []metav1.OwnerReference
	// Merge makes one object, which it may change, of those that members have under one
	// name, sorted by member and in the version registries use. They are shared and must
	// not be changed. By default each is shown under a name of its own. Not used
	// together with Owner, and only if ReadOnly. See merged.go for when.
	Merge func(objects []runtime.Object) runtime.Object
	// Lost makes an object, in the version registries use, what is shown of it while nobody
	// hears from its member, and returns false if that is no other. What the object points
	// to is shared and must not be changed. Nil when what was last seen is.
	Lost func(object runtime.Object, member Cluster) bool
	// CopyOf returns the uid of the stored object that a member's object, in the version
	// members serve, was made of, empty for none. Such a copy is not shown: Complete
	// makes the stored object show what only the member knows. Bare leaves in what became
	// of what was shown only what is to be stored: what was changed, and for the rest what
	// is stored. All three may be nil; what objects point to is shared and must not be
	// changed.
	CopyOf   func(object runtime.Object) types.UID
	Complete func(stored, copied runtime.Object)
	Bare     func(updated, shown, stored runtime.Object)
	// InCopy are the subresources by which the copy of a stored object is changed in its member, and
	// what of the change is stored after that; nil for nothing.
	InCopy map[string]func(stored, updated runtime.Object)
	// Own says why a change of the object in the fleet cannot be one in the member,
	// nil when it can. Both are in the version members serve. Not used if ReadOnly.
	Own func(before, after runtime.Object) error
	// Confirm asks the member whether an object, as it is there now, is the fleet's to
	// change. Nil when all that is shown is. Not used if ReadOnly.
	Confirm func(ctx context.Context, member *witness, live runtime.Object) (bool, error)
}

// observe makes an observation of a member's object, which is used up. It returns
// false for one that is not shown, with a *refusal when that is because of what a member
// should not have said.
func (k *Kind) observe(member string, object runtime.Object) (observation, bool, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return observation{}, false, err
	}
	seen := observation{key: k.key(member, accessor), version: numberOf(accessor.GetResourceVersion())}
	if err := k.refuse(object, accessor); err != nil {
		return seen, false, err
	}
	capQuantities(reflect.ValueOf(object))
	accessor.SetManagedFields(nil)
	labels := accessor.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[wellknown.LabelCluster] = member
	accessor.SetLabels(labels)
	if k.Owner != nil {
		seen.owner = k.Owner(object)
	}
	if k.CopyOf != nil {
		seen.of = k.CopyOf(object)
	}
	var owners []metav1.OwnerReference
	if k.References != nil {
		owners = k.References(member, accessor, accessor.GetOwnerReferences())
	}
	accessor.SetOwnerReferences(owners)
	if !k.Project(member, object) {
		return seen, false, nil
	}
	if seen.object, err = k.internal(object); err != nil {
		return seen, false, fmt.Errorf("convert %s %q of member %q: %w", k.Kind, seen.key, member, err)
	}
	return seen, true, nil
}

// selector is the label selector for what is read from members.
func (k *Kind) selector(fleetID string) string {
	if !k.Marked {
		return k.Selector
	}
	mark := wellknown.LabelManagedBy + "=" + fleetID
	if k.Selector == "" {
		return mark
	}
	return mark + "," + k.Selector
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
