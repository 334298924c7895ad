// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Owners of templates are templates. In a member the object of one is owned by the
// object of the other: a reference has the uid of the member's object, and is left out
// while there is none. The member's garbage collector deletes what has no owner any
// more, so the references to an object go before it does: it is deleted when nothing of
// the fleet refers to it but what is to go as well.
//
//	resolve     → the object that owns is not doomed, and held until the apply is through
//	doom        → nobody refers to it from now on; who does is looked at again
//	vanished    → forgotten

// owners follows up who belongs to whom in the member.
type owners struct {
	mu sync.Mutex
	// wanted are the works that name an owner, by what they name.
	wanted map[objectIdentity]sets.Set[string]
	// named is what each work names.
	named map[string][]objectIdentity
	// dependents are the objects of the fleet that refer to an object of the member.
	dependents map[types.UID]sets.Set[objectIdentity]
	// held counts the applies on their way that refer to an object.
	held map[types.UID]int
	// doomed are the objects that are to be deleted.
	doomed sets.Set[types.UID]
}

func newOwners() *owners {
	return &owners{
		wanted: map[objectIdentity]sets.Set[string]{}, named: map[string][]objectIdentity{},
		dependents: map[types.UID]sets.Set[objectIdentity]{}, held: map[types.UID]int{}, doomed: sets.New[types.UID](),
	}
}

// ownersOf returns the owners of a work's template, which are templates.
func ownersOf(work *workv1alpha1.Work) []metav1.OwnerReference {
	if work.Spec.Deleted || len(work.Spec.Workload.Manifests) != 1 || !bytes.Contains(work.Spec.Workload.Manifests[0].Raw, []byte(`"ownerReferences"`)) {
		return nil
	}
	var manifest metav1.PartialObjectMetadata
	if json.Unmarshal(work.Spec.Workload.Manifests[0].Raw, &manifest) != nil {
		return nil // applying it says why
	}
	return manifest.OwnerReferences
}

// places are where the owner may be that a reference in a namespace names: there, or
// in none.
func places(reference metav1.OwnerReference, namespace string) []objectIdentity {
	kind := schema.FromAPIVersionAndKind(reference.APIVersion, reference.Kind)
	found := []objectIdentity{target{kind: kind, name: reference.Name}.identity()}
	if namespace != "" {
		found = append(found, target{kind: kind, namespace: namespace, name: reference.Name}.identity())
	}
	return found
}

// note follows up which owners a work names, nil when it is gone.
func (o *owners) note(name string, work *workv1alpha1.Work) {
	var names []objectIdentity
	if work != nil {
		for _, reference := range ownersOf(work) {
			names = append(names, places(reference, targetOf(work).namespace)...)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, identity := range o.named[name] {
		unlink(o.wanted, identity, name)
	}
	delete(o.named, name)
	for _, identity := range names {
		link(o.wanted, identity, name)
	}
	if len(names) > 0 {
		o.named[name] = names
	}
}

// see follows up to which objects an object of the fleet refers.
func (o *owners) see(identity objectIdentity, before, now *observed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, uid := range ownerUIDs(before) {
		unlink(o.dependents, uid, identity)
	}
	for _, uid := range ownerUIDs(now) {
		link(o.dependents, uid, identity)
	}
	if now == nil && before != nil {
		o.doomed.Delete(before.UID)
	}
}

// ownerUIDs returns the owners of an object that the fleet applied. What controllers of
// the member make of one may have its labels, as EndpointSlices have those of their
// Service: it goes with it as in any cluster.
func ownerUIDs(object *observed) []types.UID {
	if object == nil || object.templateUID() == "" {
		return nil
	}
	uids := make([]types.UID, 0, len(object.OwnerReferences))
	for i := range object.OwnerReferences {
		uids = append(uids, object.OwnerReferences[i].UID)
	}
	return uids
}

// interested returns the works that name the object as an owner.
func (o *owners) interested(identity objectIdentity) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.wanted[identity].UnsortedList()
}

// hold keeps an object from being deleted until release; false when it is to be.
func (o *owners) hold(uid types.UID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.doomed.Has(uid) {
		return false
	}
	o.held[uid]++
	return true
}

func (o *owners) release(references []metav1.OwnerReference) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range references {
		if uid := references[i].UID; o.held[uid] > 1 {
			o.held[uid]--
		} else {
			delete(o.held, uid)
		}
	}
}

// doom has nobody refer to an object any more, and returns who does. It is to be asked
// again while busy, when that is not known yet.
func (o *owners) doom(uid types.UID) (dependents []objectIdentity, busy bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.doomed.Insert(uid)
	return o.dependents[uid].UnsortedList(), o.held[uid] > 0
}

// forget takes back that an object refers to another.
func (o *owners) forget(identity objectIdentity, owner types.UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	unlink(o.dependents, owner, identity)
}

// spare takes doom back: the object stays.
func (o *owners) spare(uid types.UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.doomed.Delete(uid)
}

func link[K, V comparable](index map[K]sets.Set[V], key K, value V) {
	if index[key] == nil {
		index[key] = sets.New[V]()
	}
	index[key].Insert(value)
}

func unlink[K, V comparable](index map[K]sets.Set[V], key K, value V) {
	if index[key].Delete(value); len(index[key]) == 0 {
		delete(index, key)
	}
}

// resolveOwners returns the owners of a work's object in the member. Their deletion
// waits until they are released.
func (s *session) resolveOwners(work *workv1alpha1.Work) []metav1.OwnerReference {
	var resolved []metav1.OwnerReference
	for _, reference := range ownersOf(work) {
		owner, apiVersion := s.ownerInMember(reference, targetOf(work).namespace)
		if owner == nil || !s.owners.hold(owner.UID) {
			continue
		}
		resolved = append(resolved, metav1.OwnerReference{
			APIVersion: apiVersion, Kind: reference.Kind, Name: reference.Name, UID: owner.UID, Controller: reference.Controller,
		})
	}
	return resolved
}

// ownerInMember returns the object of the template that a reference is to, nil when
// the member does not have it, or is to let go of it.
func (s *session) ownerInMember(reference metav1.OwnerReference, namespace string) (owner *observed, apiVersion string) {
	for _, identity := range places(reference, namespace) {
		s.mu.Lock()
		name, known := s.targets[identity]
		s.mu.Unlock()
		if !known {
			continue
		}
		work, ok := s.mirror.get(s.namespace + "/" + name)
		if !ok || work.Spec.Deleted || work.Spec.Template.UID != reference.UID {
			continue
		}
		t := targetOf(work)
		live := s.observedNow(t)
		if live == nil || live.DeletionTimestamp != nil || live.managedBy() != s.fleetID || live.templateUID() != string(reference.UID) {
			continue
		}
		return live, t.kind.GroupVersion().String()
	}
	return nil, ""
}

// observedNow returns the object as the mirror of its kind has it, nil when it has none.
func (s *session) observedNow(t target) *observed {
	resource, ok := serves(s.member.APIs(), t)
	if !ok {
		return nil
	}
	mirror := s.observers.of(t.kind, resource)
	live, _ := mirror.get(t.key())
	return live
}

// setOwners writes references into an object.
func setOwners(object *unstructured.Unstructured, references []metav1.OwnerReference) {
	if len(references) > 0 {
		object.SetOwnerReferences(references)
	}
}

// noteOwners follows up a change of a work: what it names, and what names it.
func (s *session) noteOwners(before, now *workv1alpha1.Work) {
	if now == nil {
		s.owners.note(before.Name, nil)
		s.ownersChanged(targetOf(before).identity())
		return
	}
	s.owners.note(now.Name, now)
	if before == nil || before.Spec.Deleted != now.Spec.Deleted || before.Spec.Template.UID != now.Spec.Template.UID {
		s.ownersChanged(targetOf(now).identity())
	}
}

// ownersChanged has the objects looked at again that belong to one that came or went.
func (s *session) ownersChanged(identity objectIdentity) {
	for _, name := range s.owners.interested(identity) {
		s.enqueue(name)
	}
}

// disown lets go of an object that is to be deleted what belongs to it and is to stay.
// It says what to wait for while there is any.
func (s *session) disown(record *record, t target, live *observed) (message string, wait bool) {
	record.doomed = live.UID
	dependents, busy := s.owners.doom(live.UID)
	var kept []string
	for _, identity := range dependents {
		if name, stays := s.staysBehind(identity, live.UID); stays {
			kept = append(kept, identity.kind.Kind+" "+identity.key)
			s.enqueue(name)
		}
	}
	if len(kept) == 0 {
		return "", busy
	}
	slices.Sort(kept)
	return fmt.Sprintf("%s waits until %s, which would go with it, does not belong to it any more", t, listed(kept)), true
}

// stays has others refer again to an object that was to be deleted and is not.
func (s *session) stays(record *record, t target, object *observed) {
	if record.doomed == "" {
		return
	}
	s.owners.spare(record.doomed)
	record.doomed = ""
	if object != nil {
		s.ownersChanged(t.identity())
	}
}

// awaitDependents looks again, and says why when it takes longer.
func awaitDependents(record *record, live *observed, why string) outcome {
	o := outcome{object: live, retry: soon}
	if why != "" && record.attempts >= quietAttempts {
		o.reason, o.message = workv1alpha1.AppliedReasonFailed, why
	}
	return o
}

// staysBehind returns true for an object that refers to the one with the uid and is not
// to go, and the name of its work if there is one. What the fleet knows nothing of
// stays.
func (s *session) staysBehind(identity objectIdentity, owner types.UID) (name string, stays bool) {
	s.mu.Lock()
	name, known := s.targets[identity]
	s.mu.Unlock()
	if !known {
		return "", true
	}
	work, ok := s.mirror.get(s.namespace + "/" + name)
	if !ok {
		return name, true
	}
	live := s.observedNow(targetOf(work))
	s.mu.Lock()
	if record := s.records[name]; record != nil {
		live = newer(live, record.applied)
	}
	s.mu.Unlock()
	if !slices.Contains(ownerUIDs(live), owner) {
		s.owners.forget(identity, owner)
		return name, false
	}
	goes := work.Spec.Deleted && !work.Spec.Orphan && !live.adopted() && live.templateUID() == string(work.Spec.Template.UID)
	return name, !goes
}

// othersOwners returns the owner references of an object that are not the fleet's, and
// whether it has others.
func othersOwners(object *unstructured.Unstructured) (others []any, ours bool) {
	owned := map[string]bool{}
	for _, entry := range object.GetManagedFields() {
		if entry.Manager != wellknown.FieldManager || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		var fields struct {
			Metadata struct {
				Owners map[string]any `json:"f:ownerReferences"`
			} `json:"f:metadata"`
		}
		if json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		for key := range maps.Keys(fields.Metadata.Owners) {
			var item struct {
				UID string `json:"uid"`
			}
			if text, ok := strings.CutPrefix(key, "k:"); ok && json.Unmarshal([]byte(text), &item) == nil {
				owned[item.UID] = true
			}
		}
	}
	all, _, _ := unstructured.NestedSlice(object.Object, "metadata", "ownerReferences")
	for _, item := range all {
		reference, _ := item.(map[string]any)
		if uid, _ := reference["uid"].(string); owned[uid] {
			ours = true
		} else {
			others = append(others, item)
		}
	}
	return others, ours
}
