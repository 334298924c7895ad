// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"maps"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Owners knows which object of the fleet stands behind an object of a member. It is
// safe for concurrent use, and answers at once.
type Owners interface {
	// Key names who controls an object of a member, false when nobody does who may be
	// in the fleet. The object is as the member has it.
	Key(object metav1.Object) (key string, ok bool)
	// Owner returns what a key names, false when it is not in the fleet, or not yet.
	Owner(key string) (Owner, bool)
	// Follow tells of keys whose owner may have become another one, until the context
	// ends. Before it is called Owner may know of none.
	Follow(ctx context.Context, changed func(key string))
}

// Owner is what an object of a member shows of its owner in the fleet.
type Owner struct {
	// Reference refers to it. Neither the owner waits for the object when it is
	// deleted, nor is the object deleted for it: both is the member's business.
	Reference metav1.OwnerReference
	// Labels are those by which the owner selects what is its own, where the member's
	// owner has other values.
	Labels map[string]string
}

// NoOwners knows of none.
type NoOwners struct{}

var _ Owners = NoOwners{}

// Key implements Owners.
func (NoOwners) Key(metav1.Object) (string, bool) { return "", false }

// Owner implements Owners.
func (NoOwners) Owner(string) (Owner, bool) { return Owner{}, false }

// Follow implements Owners.
func (NoOwners) Follow(ctx context.Context, _ func(string)) { <-ctx.Done() }

// claimID is a claimant: the key that a member's object wants.
type claimID struct{ member, key string }

// owned are the claimants whose owner has one key.
type owned struct {
	owner  *Owner // the last that was known, nil for none
	claims map[claimID]struct{}
}

// setOwner notes which owner a claimant has.
func (u *union) setOwner(at *claimant, key, owner string) {
	if at.owner == owner {
		return
	}
	id := claimID{at.member, key}
	if before := u.owned[at.owner]; before != nil {
		if delete(before.claims, id); len(before.claims) == 0 {
			delete(u.owned, at.owner)
		}
	}
	if at.owner = owner; owner == "" {
		return
	}
	if u.owned[owner] == nil {
		u.owned[owner] = &owned{claims: map[claimID]struct{}{}}
	}
	u.owned[owner].claims[id] = struct{}{}
}

// dress gives an object that was not served yet its owner.
func (u *union) dress(object runtime.Object, owner string) {
	of := u.owned[owner]
	if of == nil {
		return
	}
	if of.owner == nil {
		found, ok := u.owners.Owner(owner)
		if !ok {
			return
		}
		of.owner = &found
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return // it was accessed when it was observed
	}
	accessor.SetOwnerReferences([]metav1.OwnerReference{of.owner.Reference})
	labels := accessor.GetLabels()
	for label, value := range of.owner.Labels {
		if labels[label] != value {
			labels = maps.Clone(labels)
			labels[label] = value
		}
	}
	accessor.SetLabels(labels)
}

// reown takes in that an owner may be another one, for some of its objects, and says
// whether there are more. An owner that is gone stays what it was: its objects go with
// it, or wait for the next of that name.
func (u *union) reown(owner string) (more bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.owned[owner]
	if of == nil {
		return false
	}
	found, ok := u.owners.Owner(owner)
	if !ok {
		return false
	}
	if of.owner == nil || !equality.Semantic.DeepEqual(*of.owner, found) {
		of.owner = &found
	}
	var changes []change
	for id := range of.claims {
		at := u.claims.get(id.key, id.member)
		if at == nil || hasOwner(at.object, of.owner) {
			continue
		}
		if more = len(changes) == chunk; more {
			break
		}
		at.object = shallowCopy(at.object)
		u.dress(at.object, owner)
		if old := at.shown; old != nil {
			at.shown = show(old.Key, at.object, u.advance())
			changes = append(changes, change{ResourceVersion: at.shown.ResourceVersion, Old: old, Next: at.shown})
		}
	}
	u.commit(changes)
	return more
}

// hasOwner says whether an object shows an owner already.
func hasOwner(object runtime.Object, owner *Owner) bool {
	accessor, err := meta.Accessor(object)
	if err != nil || len(accessor.GetOwnerReferences()) != 1 || accessor.GetOwnerReferences()[0].UID != owner.Reference.UID {
		return false
	}
	for label, value := range owner.Labels {
		if accessor.GetLabels()[label] != value {
			return false
		}
	}
	return true
}
