// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/third_party/forked/golang/btree"

	"fleet.dev/fleet/pkg/derived/ledger"
)

// progressPeriod is how often etcd is asked how far it is while a read waits for
// a revision.
const progressPeriod = 50 * time.Millisecond

// unionStorage is the storage.Interface of a kind.
type unionStorage struct {
	*stored

	union   *union
	prefix  string // of keys, "/pods"
	newFunc func() runtime.Object
	members *writer
}

var _ storage.Interface = (*unionStorage)(nil)

// Versioner implements storage.Interface.
func (s *unionStorage) Versioner() storage.Versioner { return versioner{} }

// Create implements storage.Interface. New objects are stored in the fleet; the
// name of a member's object is taken.
func (s *unionStorage) Create(ctx context.Context, key string, object, out runtime.Object, ttl uint64) error {
	if s.projected(key) {
		return storage.NewKeyExistsError(key, 0)
	}
	return s.create(ctx, key, object, out, ttl)
}

// projected says whether the key is that of a member's object.
func (s *unionStorage) projected(key string) bool {
	found, _, ok := s.union.find(s.key(key))
	return ok && found.member != ""
}

// Delete implements storage.Interface.
func (s *unionStorage) Delete( //nolint:revive // the arguments are those of storage.Interface
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions,
) error {
	if !s.projected(key) {
		if s.union.hasCopy(s.key(key)) {
			preconditions, cached = s.storedPreconditions(key, preconditions), nil
		}
		return s.delete(ctx, key, out, preconditions, validate, cached, opts)
	}
	return s.members.delete(ctx, s.key(key), out, preconditions, validate)
}

// GuaranteedUpdate implements storage.Interface.
func (s *unionStorage) GuaranteedUpdate( //nolint:revive // the arguments are those of storage.Interface
	ctx context.Context, key string, out runtime.Object, ignoreNotFound bool, preconditions *storage.Preconditions,
	update storage.UpdateFunc, cached runtime.Object,
) error {
	if s.projected(key) {
		return s.members.update(ctx, s.key(key), out, preconditions, update)
	}
	if store, inCopy := s.members.kind.InCopy[subresource(ctx)]; inCopy {
		return s.updateCopy(ctx, key, out, preconditions, update, store)
	}
	if s.union.hasCopy(s.key(key)) {
		return s.updateStored(ctx, key, out, ignoreNotFound, preconditions, update)
	}
	return s.update(ctx, key, out, ignoreNotFound, preconditions, update, cached)
}

// Get implements storage.Interface. Stored objects are read from etcd, those of
// members are what was seen last.
func (s *unionStorage) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	prepared, err := storage.PrepareKey(s.prefix, key, false)
	if err != nil {
		return err
	}
	if err := s.waitNotOlderThan(ctx, opts.ResourceVersion, false); err != nil {
		return err
	}
	found, _, ok := s.union.find(s.key(prepared))
	if !ok || found.member == "" {
		return s.getStored(ctx, key, opts.IgnoreNotFound, out)
	}
	return setValue(out, found.shown.Object.DeepCopyObject())
}

// setValue makes out what the object is.
func setValue(out, object runtime.Object) error {
	value, err := conversion.EnforcePtr(out)
	if err != nil {
		return fmt.Errorf("return %T: %w", object, err)
	}
	value.Set(reflect.ValueOf(object).Elem())
	return nil
}

// GetList implements storage.Interface.
func (s *unionStorage) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	prefix, err := storage.PrepareKey(s.prefix, key, opts.Recursive)
	if err != nil {
		return err
	}
	at, continueKey, err := storage.ValidateListOptions(prefix, s.Versioner(), opts)
	if err != nil {
		return err
	}
	objects, position, err := s.objectsAt(ctx, uint64(at), opts) //nolint:gosec // validated
	if err != nil {
		return err
	}
	from := s.key(prefix)
	if continueKey != "" {
		from = s.key(continueKey)
	}
	found := ledger.Collect(objects, from, s.key(prefix), opts.Recursive)
	last, more, err := ledger.AppendMatching(list, found, opts.Predicate)
	if err != nil {
		return err
	}
	next, remaining, err := storage.PrepareContinueToken(
		s.prefix+"/"+last, prefix, int64(position), int64(len(found)), more, opts) //nolint:gosec // 63 bits
	if err != nil {
		return fmt.Errorf("list %s: %w", s.prefix, err)
	}
	return s.Versioner().UpdateList(list, position, next, remaining)
}

// objectsAt returns the objects at a resource version, the latest that the
// options allow if it is 0.
func (s *unionStorage) objectsAt(ctx context.Context, at uint64, opts storage.ListOptions) (*btree.BTree[*entry], uint64, error) {
	if at == 0 {
		minimum := opts.ResourceVersion
		if opts.Predicate.Continue != "" {
			minimum = "" // continue from the latest
		}
		if err := s.waitNotOlderThan(ctx, minimum, true); err != nil {
			return nil, 0, err
		}
		objects, position := s.union.ledger.Snapshot()
		return objects, position, nil
	}
	if err := s.checkServer(at); err != nil {
		return nil, 0, err
	}
	if err := s.waitFor(ctx, at); err != nil {
		return nil, 0, err
	}
	objects, err := s.union.ledger.SnapshotAt(at)
	return objects, at, err
}

// Watch implements storage.Interface. It can be resumed from what this server
// said only; another one saw the members in another order.
func (s *unionStorage) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	prefix, err := storage.PrepareKey(s.prefix, key, opts.Recursive)
	if err != nil {
		return nil, err
	}
	after, err := s.Versioner().ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	return s.union.ledger.Watch(ctx, ledger.WatchOptions[runtime.Object]{
		Prefix: s.key(prefix),
		List:   opts,
		After:  after,
		Wait: func(ctx context.Context, resumed bool) error {
			if resumed {
				if err := s.waitFor(ctx, 0); err != nil {
					return err
				}
				return s.checkServer(after)
			}
			return s.waitNotOlderThan(ctx, opts.ResourceVersion, true)
		},
		NewFunc: s.newFunc,
		Gone:    goneAt,
	}), nil
}

// checkServer fails with 410 Expired when another server gave the version.
func (s *unionStorage) checkServer(version uint64) error {
	if own := s.server(); serverOf(version) != own {
		return apierrors.NewResourceExpired(fmt.Sprintf("resource version %d is not of this server", version))
	}
	return nil
}

// key is the key of an object, or a prefix of keys, in the union.
func (s *unionStorage) key(storageKey string) string {
	return strings.TrimPrefix(strings.TrimPrefix(storageKey, s.prefix), "/")
}

// Stats implements storage.Interface: those of what is stored.
func (s *unionStorage) Stats(ctx context.Context) (storage.Stats, error) { return s.raw.Stats(ctx) }

// ReadinessCheck implements storage.Interface.
func (s *unionStorage) ReadinessCheck() error {
	position, _, err := s.union.ledger.State()
	if err == nil && position == 0 {
		return storage.ErrStorageNotReady
	}
	return err
}

// RequestWatchProgress implements storage.Interface: watches get a bookmark once
// etcd has answered the union's own watch.
func (s *unionStorage) RequestWatchProgress(ctx context.Context) error {
	return s.raw.RequestWatchProgress(progressContext(ctx))
}

// GetCurrentResourceVersion implements storage.Interface: etcd is as far as the
// version says, and it covers what was seen of members.
func (s *unionStorage) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	revision, err := s.raw.GetCurrentResourceVersion(ctx)
	if err != nil {
		return 0, err
	}
	position, _, err := s.union.ledger.State()
	if err != nil {
		return 0, err
	}
	return max(position, versionAt(revision, 0, s.server())), nil
}

// EnableResourceSizeEstimation implements storage.Interface.
func (s *unionStorage) EnableResourceSizeEstimation(keys storage.KeysFunc) error {
	return s.raw.EnableResourceSizeEstimation(keys)
}

// CompactRevision implements storage.Interface. Nothing is compacted: the Cacher
// may serve all the history it holds.
func (s *unionStorage) CompactRevision() int64 { return 0 }

// waitNotOlderThan waits for a union at least as new as a resource version: "" is
// as new as etcd is now when that matters, "0" whatever there is.
func (s *unionStorage) waitNotOlderThan(ctx context.Context, resourceVersion string, consistent bool) error {
	if resourceVersion == "" && consistent {
		current, err := s.GetCurrentResourceVersion(ctx)
		if err != nil {
			return err
		}
		return s.waitFor(ctx, current)
	}
	minimum, err := s.Versioner().ParseResourceVersion(resourceVersion)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	// How many changes in members another server counted says nothing here.
	return s.waitFor(ctx, versionAt(revisionOf(minimum), 0, 0))
}

// waitFor waits until the union is as new as a resource version, in any case for
// the first load. It fails when the version is one etcd has not reached itself.
func (s *unionStorage) waitFor(ctx context.Context, version uint64) error {
	for {
		position, advanced, err := s.union.ledger.State()
		if err != nil {
			return err
		}
		if position > 0 && position >= version {
			return nil
		}
		timer := time.NewTimer(progressPeriod)
		select {
		case <-advanced:
		case <-timer.C:
			if position > 0 {
				err = s.checkReachable(ctx, version)
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
		timer.Stop()
		switch {
		case err == nil:
		case storage.IsTooLargeResourceVersion(err), errors.Is(err, context.Canceled):
			return err
		default:
			return apierrors.NewTimeoutError(fmt.Sprintf("%s are not up to date yet: %v", s.prefix, err), 1)
		}
	}
}

// checkReachable asks etcd to tell the union how far it is, and fails when it is
// not as far as wanted.
func (s *unionStorage) checkReachable(ctx context.Context, version uint64) error {
	revision, err := s.raw.GetCurrentResourceVersion(ctx)
	if err != nil {
		return err
	}
	if revision < revisionOf(version) {
		return storage.NewTooLargeResourceVersionError(version, versionAt(revision, 0, s.server()), 1)
	}
	return s.RequestWatchProgress(ctx)
}

// goneAt is the last state of an object with the resource version it went at.
func goneAt(last runtime.Object, version uint64) runtime.Object {
	gone := shallowCopy(last)
	if err := (storage.APIObjectVersioner{}).UpdateObject(gone, version); err != nil {
		panic(fmt.Sprintf("end %T: %v", last, err)) // it was accessed when it was taken in
	}
	return gone
}
