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

// Owners knows objects of the fleet by keys that objects of members have. It is safe
// for concurrent use, and answers at once.
type Owners interface {
	// Owner returns what a key names, false when it is not in the fleet, or not yet.
	Owner(key string) (Owner, bool)
	// Follow tells of keys whose owner may have become another one, until the context
	// ends. It may be called several times. Before that Owner may know of none.
	Follow(ctx context.Context, changed func(key string))
}

// Owner is what an object of a member shows of its owner in the fleet.
type Owner struct {
	// Reference refers to it, as a controller of the member would. But neither the owner
	// waits for the object when it is deleted, nor is the object deleted for it: the fleet's
	// garbage collector does not see it, both is the member's business.
	Reference metav1.OwnerReference
	// Labels are those by which the owner selects what is its own, where the member's
	// owner has other values. Only labels that the object has are changed.
	Labels map[string]string
}

// NoOwners knows of none.
type NoOwners struct{}

var _ Owners = NoOwners{}

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
	u.wear(object, *of.owner)
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
		if at == nil {
			continue
		}
		if more = len(changes) == chunk; more {
			break
		}
		dressed := shallowCopy(at.object)
		if !u.wear(dressed, *of.owner) {
			continue
		}
		at.object = dressed
		if old := at.shown; old != nil {
			at.shown = show(old.Key, u.look(at), u.advance())
			changes = append(changes, change{ResourceVersion: at.shown.ResourceVersion, Old: old, Next: at.shown})
		}
	}
	u.commit(changes)
	return more
}

// showOwner has an object be owned, with the labels by which its owner selects.
func showOwner(object runtime.Object, owner Owner) bool {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return false // it was accessed when it was observed
	}
	before := accessor.GetOwnerReferences()
	differs := len(before) != 1 || before[0].UID != owner.Reference.UID
	if differs {
		accessor.SetOwnerReferences([]metav1.OwnerReference{owner.Reference})
	}
	labels := accessor.GetLabels()
	for label, value := range owner.Labels {
		if has, ok := labels[label]; ok && has != value {
			labels = maps.Clone(labels)
			labels[label] = value
			differs = true
		}
	}
	accessor.SetLabels(labels)
	return differs
}
