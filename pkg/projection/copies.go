// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"
)

// What members made of a stored object, a bare Pod, is no object of its own in the
// fleet. It completes the stored one wherever that is read: etcd has what the user
// wrote, readers see also what only the member knows.
//
//	etcd:   Pod x, uid 1 ─────────────┐
//	                                  ├──► shown: Pod x, uid 1, with its node
//	member: Pod x, made of uid 1 ─────┘
//
// A change of the copy gives what is shown another resource version, under the
// revision that etcd is at. Who updates by it updates that of etcd.

// seenOf returns what is known of an object of a member, which may be a copy.
func (u *union) seenOf(member, key string) *claimant {
	if at := u.claims.get(key, member); at != nil {
		return at
	}
	return u.copies.get(key, member)
}

// copyOf returns the copy that completes the object with a uid: of several that of
// the first member, but rather one that is not on its way out. It is nil for none.
func (u *union) copyOf(key string, uid types.UID) *claimant {
	var leaving *claimant
	for at := u.copies[key]; at != nil; at = at.next {
		if at.of != uid {
			continue
		}
		if accessor, err := meta.Accessor(at.object); err != nil || accessor.GetDeletionTimestamp() == nil {
			return at
		}
		if leaving == nil {
			leaving = at
		}
	}
	return leaving
}

// completed is what is to be shown of a stored object: another one if it has a copy.
func (u *union) completed(key string, object runtime.Object) runtime.Object {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return object // it was accessed when it was taken in
	}
	copied := u.copyOf(key, accessor.GetUID())
	if copied == nil {
		return object
	}
	object = shallowCopy(object)
	u.complete(object, copied.object)
	return object
}

// recomplete shows a stored object as it is after a copy of it changed.
func (u *union) recomplete(key string) []change {
	at := u.claims.get(key, "")
	if at == nil || at.shown == nil {
		return nil
	}
	old := at.shown
	next := shallowCopy(u.completed(key, at.object))
	if err := (storage.APIObjectVersioner{}).UpdateObject(next, old.ResourceVersion); err != nil ||
		equality.Semantic.DeepEqual(next, old.Object) {
		return nil
	}
	at.shown = show(old.Key, next, u.advance())
	return []change{{ResourceVersion: at.shown.ResourceVersion, Old: old, Next: at.shown}}
}

// bare makes what is shown of a stored object what the union knows to be stored of it.
func (u *union) bare(shown runtime.Object) {
	accessor, err := meta.Accessor(shown)
	if err != nil {
		return // the watch has failed
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	at := u.claims.get(keyOf(accessor), "")
	if at == nil {
		return
	}
	if stored, err := meta.Accessor(at.object); err == nil && stored.GetUID() == accessor.GetUID() {
		u.strip(shown, shallowCopy(shown), at.object)
	}
}

// hasCopy says whether a stored object has a copy.
func (u *union) hasCopy(key string) bool {
	_, ok := u.findCopy(key)
	return ok
}

// findCopy returns a copy of the copy of a stored object.
func (u *union) findCopy(key string) (claimant, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	at := u.claims.get(key, "")
	if at == nil {
		return claimant{}, false
	}
	accessor, err := meta.Accessor(at.object)
	if err != nil {
		return claimant{}, false
	}
	if found := u.copyOf(key, accessor.GetUID()); found != nil {
		return *found, true
	}
	return claimant{}, false
}

// finish makes an object that was read from etcd what is shown of it: with the resource
// version that this state of it is shown with, and completed unless it is to stay bare.
func (u *union) finish(key string, object runtime.Object, bare bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	accessor, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	copied := u.copyOf(key, accessor.GetUID())
	if copied != nil && !bare {
		u.complete(object, copied.object.DeepCopyObject()) // the object is the reader's to change
	}
	at := u.claims.get(key, "")
	if at == nil || at.shown == nil || accessor.GetResourceVersion() != strconv.FormatUint(at.version, 10) {
		return nil // the union has yet to see it
	}
	accessor.SetResourceVersion(strconv.FormatUint(at.shown.ResourceVersion, 10))
	return nil
}

// storedVersion is the resource version that etcd gives to what is shown with one, that
// one for all else.
func (u *union) storedVersion(key, shown string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	at := u.claims.get(key, "")
	if at == nil || at.shown == nil || strconv.FormatUint(at.shown.ResourceVersion, 10) != shown {
		return shown
	}
	return strconv.FormatUint(at.version, 10)
}

// staysBare says whether a request is to find a stored object as if no member had it:
// one that deletes it, at once instead of when the member has ended it, because the
// controllers of the fleet delete it, or since the member does not answer.
func (s *unionStorage) staysBare(ctx context.Context, member string) bool {
	if !deletes(ctx) {
		return false
	}
	if seesStoredOnly(ctx) {
		return true
	}
	clusters, _ := s.members.members.Clusters()
	return !slices.ContainsFunc(clusters, func(c Cluster) bool { return c.Name == member && c.Unready == "" })
}

// deletes says whether a request is a deletion.
func deletes(ctx context.Context) bool {
	info, ok := request.RequestInfoFrom(ctx)
	return ok && (info.Verb == "delete" || info.Verb == "deletecollection" || info.Subresource == "eviction")
}

// getStored reads a stored object as it is shown.
func (s *unionStorage) getStored(ctx context.Context, key string, ignoreNotFound bool, out runtime.Object) error {
	if err := s.get(ctx, key, ignoreNotFound, out); err != nil {
		return err
	}
	return s.finish(ctx, key, out)
}

// finish makes an object that was read from etcd what the request is to see of it.
func (s *unionStorage) finish(ctx context.Context, key string, object runtime.Object) error {
	copied, ok := s.union.findCopy(s.key(key))
	if !ok {
		return nil
	}
	return s.union.finish(s.key(key), object, s.staysBare(ctx, copied.member))
}

// updateStored changes a stored object that has a copy. The function sees what is
// shown; what only the member knows is not stored.
func (s *unionStorage) updateStored(
	ctx context.Context, key string, out runtime.Object, ignoreNotFound bool, preconditions *storage.Preconditions, update storage.UpdateFunc,
) error {
	err := s.update(ctx, key, out, ignoreNotFound, s.storedPreconditions(key, preconditions),
		func(input runtime.Object, response storage.ResponseMeta) (runtime.Object, *uint64, error) {
			was := input.DeepCopyObject()
			if err := s.finish(ctx, key, input); err != nil {
				return nil, nil, err
			}
			shown := input.DeepCopyObject()
			updated, ttl, err := update(input, response)
			if err != nil {
				return nil, nil, err
			}
			s.members.kind.Bare(updated, shown, was)
			return updated, ttl, nil
		}, nil)
	if err != nil {
		return err
	}
	return s.finish(ctx, key, out)
}

// storedPreconditions are those of a request about what is shown, as they are of what is
// stored.
func (s *unionStorage) storedPreconditions(key string, given *storage.Preconditions) *storage.Preconditions {
	if given == nil || given.ResourceVersion == nil {
		return given
	}
	version := s.union.storedVersion(s.key(key), *given.ResourceVersion)
	return &storage.Preconditions{UID: given.UID, ResourceVersion: &version}
}

// updateCopy changes the copy of a stored object in its member and then, as far as it
// is stored, the object. What the member refuses changes nothing.
func (s *unionStorage) updateCopy(
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions, update storage.UpdateFunc,
	store func(stored, updated runtime.Object),
) error {
	for attempt := 1; ; attempt++ {
		updated, t, err := s.changeCopy(ctx, key, preconditions, update)
		if err != nil {
			return err
		}
		err = s.members.apply(ctx, t, updated)
		switch {
		case apierrors.IsConflict(err) && attempt < attempts:
			if err := s.members.refresh(ctx, t); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case store == nil:
			return s.getStored(ctx, key, false, out)
		}
		uid := preconditionsOf(t.object)
		return s.updateStored(ctx, key, out, false, uid, storage.SimpleUpdate(func(input runtime.Object) (runtime.Object, error) {
			store(input, updated)
			return input, nil
		}))
	}
}

// changeCopy computes what is to become of the copy of a stored object.
func (s *unionStorage) changeCopy(
	ctx context.Context, key string, preconditions *storage.Preconditions, update storage.UpdateFunc,
) (runtime.Object, *target, error) {
	copied, ok := s.union.findCopy(s.key(key))
	if !ok {
		_, name := splitKey(s.key(key))
		return nil, nil, apierrors.NewConflict(s.members.kind.Resource.GroupResource(), name, errNowhere)
	}
	before := s.newFunc()
	if err := s.getStored(ctx, key, false, before); err != nil {
		return nil, nil, err
	}
	if err := preconditions.Check(key, before); err != nil {
		return nil, nil, err
	}
	version, err := s.Versioner().ObjectResourceVersion(before)
	if err != nil {
		return nil, nil, err
	}
	updated, _, err := update(before.DeepCopyObject(), storage.ResponseMeta{ResourceVersion: version})
	if err != nil {
		return nil, nil, err
	}
	copied.object = before
	t := &target{claimant: copied, key: s.key(key), claimed: s.key(key), client: &client{members: s.members.members, kind: s.members.kind, member: copied.member}}
	t.namespace, t.name = splitKey(t.key)
	return updated, t, nil
}

// errNowhere refuses to change what runs nowhere.
var errNowhere = errors.New("no member has it yet")

// preconditionsOf are that it is still the same object.
func preconditionsOf(object runtime.Object) *storage.Preconditions {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil
	}
	return storage.NewUIDPreconditions(string(accessor.GetUID()))
}
