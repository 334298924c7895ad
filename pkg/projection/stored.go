// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// stored is the storage of a kind in etcd, in the union's resource versions.
type stored struct {
	raw    storage.Interface
	server func() uint64
}

// give puts the version that readers know into an object read from etcd.
func (s *stored) give(object runtime.Object) error {
	versions := storage.APIObjectVersioner{}
	revision, err := versions.ObjectResourceVersion(object)
	if err != nil || revision == 0 {
		return err
	}
	return versions.UpdateObject(object, versionAt(revision, 0, s.server()))
}

// preconditions are those of a request in etcd's versions.
func (s *stored) preconditions(given *storage.Preconditions) *storage.Preconditions {
	if given == nil || given.ResourceVersion == nil {
		return given
	}
	version := storedPrecondition(*given.ResourceVersion)
	return &storage.Preconditions{UID: given.UID, ResourceVersion: &version}
}

// cached is what a cache knows of an object, in etcd's versions, nil for nothing.
func (s *stored) cached(given runtime.Object) runtime.Object {
	if given == nil {
		return nil
	}
	accessor, err := meta.Accessor(given)
	if err != nil {
		return nil
	}
	version, err := strconv.ParseUint(accessor.GetResourceVersion(), 10, 64)
	if err != nil || counterOf(version) != 0 {
		return nil // that of a member had the name
	}
	known := shallowCopy(given)
	if err := (storage.APIObjectVersioner{}).UpdateObject(known, revisionOf(version)); err != nil {
		return nil
	}
	return known
}

func (s *stored) get(ctx context.Context, key string, ignoreNotFound bool, out runtime.Object) error {
	if err := s.raw.Get(ctx, key, storage.GetOptions{IgnoreNotFound: ignoreNotFound}, out); err != nil {
		return err
	}
	return s.give(out)
}

func (s *stored) create(ctx context.Context, key string, object, out runtime.Object, ttl uint64) error {
	if err := s.raw.Create(ctx, key, object, out, ttl); err != nil || out == nil {
		return err
	}
	return s.give(out)
}

func (s *stored) delete( //nolint:revive // the arguments are those of storage.Interface
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions,
) error {
	err := s.raw.Delete(ctx, key, out, s.preconditions(preconditions), validate, s.cached(cached), opts)
	if err != nil {
		return err
	}
	return s.give(out)
}

func (s *stored) update( //nolint:revive // the arguments are those of storage.Interface
	ctx context.Context, key string, out runtime.Object, ignoreNotFound bool, preconditions *storage.Preconditions,
	update storage.UpdateFunc, cached runtime.Object,
) error {
	err := s.raw.GuaranteedUpdate(ctx, key, out, ignoreNotFound, s.preconditions(preconditions),
		func(input runtime.Object, response storage.ResponseMeta) (runtime.Object, *uint64, error) {
			if err := s.give(input); err != nil {
				return nil, nil, err
			}
			if response.ResourceVersion != 0 {
				response.ResourceVersion = versionAt(response.ResourceVersion, 0, s.server())
			}
			return update(input, response)
		}, s.cached(cached))
	if err != nil {
		return err
	}
	return s.give(out)
}

// follower takes what is stored into a union.
type follower struct {
	raw         storage.Interface
	prefix      string
	newListFunc func() runtime.Object
	union       *union
	server      func() uint64
}

// run reads everything, then follows it, until that cannot be resumed.
func (f *follower) run(ctx context.Context) error {
	revision, err := f.load(ctx)
	for err == nil {
		revision, err = f.watch(ctx, revision)
	}
	return err
}

func (f *follower) load(ctx context.Context) (uint64, error) {
	list := f.newListFunc()
	if err := f.raw.GetList(ctx, f.prefix, storage.ListOptions{Recursive: true, Predicate: storage.Everything}, list); err != nil {
		return 0, fmt.Errorf("list %s in etcd: %w", f.prefix, err)
	}
	accessor, err := meta.ListAccessor(list)
	if err != nil {
		return 0, fmt.Errorf("list %s in etcd: %w", f.prefix, err)
	}
	revision, err := strconv.ParseUint(accessor.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("list %s in etcd: %w", f.prefix, err)
	}
	var objects []runtime.Object
	// A list holds its objects in one piece of memory, which one object would keep.
	if err := meta.EachListItem(list, func(object runtime.Object) error {
		objects = append(objects, shallowCopy(object))
		return nil
	}); err != nil {
		return 0, fmt.Errorf("list %s in etcd: %w", f.prefix, err)
	}
	return revision, f.union.load(revision, f.server(), objects)
}

// watch follows etcd from a revision on and returns how far it came. It returns
// an error when everything has to be read again.
func (f *follower) watch(ctx context.Context, revision uint64) (uint64, error) {
	w, err := f.raw.Watch(ctx, f.prefix, storage.ListOptions{
		ResourceVersion: strconv.FormatUint(revision, 10), Recursive: true, ProgressNotify: true, Predicate: storage.Everything,
	})
	if err != nil {
		return revision, fmt.Errorf("watch %s in etcd: %w", f.prefix, err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if event.Type == watch.Error {
			return revision, fmt.Errorf("watch %s in etcd: %w", f.prefix, apierrors.FromObject(event.Object))
		}
		reached, err := (storage.APIObjectVersioner{}).ObjectResourceVersion(event.Object)
		if err != nil {
			return revision, fmt.Errorf("watch %s in etcd: %w", f.prefix, err)
		}
		switch event.Type { //nolint:exhaustive // errors were handled
		case watch.Bookmark:
			f.union.follow(reached)
		case watch.Deleted:
			err = f.union.removeStored(event.Object)
		default:
			err = f.union.putStored(event.Object)
		}
		if err != nil {
			return revision, err
		}
		revision = max(revision, reached)
	}
	if ctx.Err() != nil {
		return revision, ctx.Err()
	}
	return revision, errEnded
}

// errEnded says that a watch ended without saying why.
var errEnded = errors.New("the watch ended")
