// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

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
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/third_party/forked/golang/btree"

	"fleet.dev/fleet/pkg/derived/ledger"
)

// progressPeriod is how often etcd is asked how far it is while a read waits for
// a revision. It takes asking when the revision is of a key outside the prefix.
const progressPeriod = 50 * time.Millisecond

// worksStorage is the storage.Interface of works. It only reads: works change
// when templates and bindings do.
type worksStorage struct {
	engine  *Engine
	prefix  string // of keys, "/work.fleet.dev/works"
	newFunc func() runtime.Object
}

var _ storage.Interface = (*worksStorage)(nil)

// Versioner implements storage.Interface.
func (s *worksStorage) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

// Create implements storage.Interface. It always fails with 405.
func (s *worksStorage) Create(context.Context, string, runtime.Object, runtime.Object, uint64) error {
	return apierrors.NewMethodNotSupported(worksResource, "create")
}

// Delete implements storage.Interface. It always fails with 405.
func (s *worksStorage) Delete(
	context.Context, string, runtime.Object, *storage.Preconditions,
	storage.ValidateObjectFunc, runtime.Object, storage.DeleteOptions,
) error {
	return apierrors.NewMethodNotSupported(worksResource, "delete")
}

// GuaranteedUpdate implements storage.Interface. It always fails with 405; the
// status of a work is written to its binding.
func (s *worksStorage) GuaranteedUpdate(
	context.Context, string, runtime.Object, bool, *storage.Preconditions, storage.UpdateFunc, runtime.Object,
) error {
	return apierrors.NewMethodNotSupported(worksResource, "update")
}

// Get implements storage.Interface. Without a resource version the read is
// linearizable, at the price of asking etcd for its revision.
func (s *worksStorage) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	prepared, err := storage.PrepareKey(s.prefix, key, false)
	if err != nil {
		return err
	}
	if err := s.waitNotOlderThan(ctx, opts.ResourceVersion); err != nil {
		return err
	}
	found, position := s.engine.ledger.Get(s.workKey(prepared))
	if found == nil {
		if opts.IgnoreNotFound {
			return runtime.SetZeroValue(out)
		}
		return storage.NewKeyNotFoundError(prepared, int64(position))
	}
	value, err := conversion.EnforcePtr(out)
	if err != nil {
		return fmt.Errorf("get work: %w", err)
	}
	// A copy: unlike those of a list, the object is changed by status updates.
	value.Set(reflect.ValueOf(found.Object.DeepCopy()).Elem())
	return nil
}

// GetList implements storage.Interface. Lists at a past version are served as far
// as changes since then are kept, see ledger.
func (s *worksStorage) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	prefix, err := storage.PrepareKey(s.prefix, key, opts.Recursive)
	if err != nil {
		return err
	}
	at, continueKey, err := storage.ValidateListOptions(prefix, s.Versioner(), opts)
	if err != nil {
		return err
	}
	works, resourceVersion, err := s.worksAt(ctx, uint64(at), opts)
	if err != nil {
		return err
	}
	from := s.workKey(prefix)
	if continueKey != "" {
		from = s.workKey(continueKey)
	}
	found := ledger.Collect(works, from, s.workKey(prefix), opts.Recursive)
	last, more, err := ledger.AppendMatching(list, found, opts.Predicate)
	if err != nil {
		return err
	}
	continueValue, remaining, err := storage.PrepareContinueToken(
		s.prefix+"/"+last, prefix, int64(resourceVersion), int64(len(found)), more, opts)
	if err != nil {
		return fmt.Errorf("list works: %w", err)
	}
	return s.Versioner().UpdateList(list, resourceVersion, continueValue, remaining)
}

// worksAt returns the works at a resource version, the latest that the options
// allow if it is 0.
func (s *worksStorage) worksAt(ctx context.Context, at uint64, opts storage.ListOptions) (*btree.BTree[*entry], uint64, error) {
	if at == 0 {
		minimum := opts.ResourceVersion
		if opts.Predicate.Continue != "" {
			minimum = "" // continue from the latest
		}
		if err := s.waitNotOlderThan(ctx, minimum); err != nil {
			return nil, 0, err
		}
		works, position := s.engine.ledger.Snapshot()
		return works, position, nil
	}
	if err := s.engine.waitFor(ctx, at); err != nil {
		return nil, 0, err
	}
	works, err := s.engine.ledger.SnapshotAt(at)
	return works, at, err
}

// waitNotOlderThan waits for works at least as new as a resource version: "" is
// as new as etcd is now, "0" whatever there is.
func (s *worksStorage) waitNotOlderThan(ctx context.Context, resourceVersion string) error {
	if resourceVersion == "" {
		current, err := s.GetCurrentResourceVersion(ctx)
		if err != nil {
			return err
		}
		return s.engine.waitFor(ctx, current)
	}
	minimum, err := s.Versioner().ParseResourceVersion(resourceVersion)
	if err != nil {
		return apierrors.NewBadRequest(fmt.Sprintf("invalid resource version: %v", err))
	}
	return s.engine.waitFor(ctx, minimum)
}

// workKey is the key of a work, or a prefix of keys, in the ledger.
func (s *worksStorage) workKey(storageKey string) string {
	return strings.TrimPrefix(strings.TrimPrefix(storageKey, s.prefix), "/")
}

// Stats implements storage.Interface. The size is estimated by the manifests.
func (s *worksStorage) Stats(context.Context) (storage.Stats, error) {
	works, bytes := s.engine.ledger.Stats()
	stats := storage.Stats{ObjectCount: int64(works)}
	if works > 0 {
		stats.EstimatedAverageObjectSizeBytes = bytes / int64(works)
	}
	return stats, nil
}

// ReadinessCheck implements storage.Interface.
func (s *worksStorage) ReadinessCheck() error {
	if s.engine.Ready() != nil {
		return storage.ErrStorageNotReady
	}
	return nil
}

// RequestWatchProgress implements storage.Interface. Watches send a bookmark
// with the revision etcd answers with.
func (s *worksStorage) RequestWatchProgress(ctx context.Context) error {
	etcd, err := s.engine.connection(ctx)
	if err != nil {
		return err
	}
	return etcd.client.RequestProgress(watchContext(ctx))
}

// GetCurrentResourceVersion implements storage.Interface: that of etcd now, which
// works may not have reached. It fails with 429 when works are ahead of etcd,
// because that was restored, until everything was read again.
func (s *worksStorage) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	etcd, err := s.engine.connection(ctx)
	if err != nil {
		return 0, err
	}
	served, _, err := s.engine.ledger.State()
	if err != nil {
		return 0, err
	}
	revision, err := currentRevision(ctx, etcd.client, etcd.prefix)
	if err != nil {
		return 0, err
	}
	if revision < revisionOf(served) {
		s.engine.suspectRestore()
		return 0, apierrors.NewTooManyRequests("etcd was restored, works are being read again", 1)
	}
	return resourceVersionAfter(revision), nil
}

// EnableResourceSizeEstimation implements storage.Interface. Sizes are known
// anyway.
func (s *worksStorage) EnableResourceSizeEstimation(storage.KeysFunc) error { return nil }

// CompactRevision implements storage.Interface. Nothing is compacted: the Cacher
// may serve all the history it holds.
func (s *worksStorage) CompactRevision() int64 { return 0 }

// waitFor waits until works are as new as a resource version, in any case for
// the first load. It fails when the version is one etcd has not reached itself.
func (e *Engine) waitFor(ctx context.Context, resourceVersion uint64) error {
	wanted := revisionOf(resourceVersion)
	asked := false
	for {
		position, advanced, err := e.ledger.State()
		if err != nil {
			return err
		}
		if position > 0 && revisionOf(position) >= wanted {
			return nil
		}
		if position > 0 && asked {
			asked = false
			if err := e.checkReachable(ctx, wanted); err != nil {
				return err
			}
		}
		timer := e.options.Clock.NewTimer(progressPeriod)
		select {
		case <-advanced:
		case <-timer.C():
			asked = true
		case <-ctx.Done():
			timer.Stop()
			return timeout(ctx.Err())
		}
		timer.Stop()
	}
}

// checkReachable asks etcd to tell its watch how far it is, and fails when it is
// not as far as wanted.
func (e *Engine) checkReachable(ctx context.Context, wanted int64) error {
	etcd, err := e.connection(ctx)
	if err != nil {
		return timeout(err)
	}
	current, err := currentRevision(ctx, etcd.client, etcd.prefix)
	if err != nil {
		return timeout(err)
	}
	if current < wanted {
		return storage.NewTooLargeResourceVersionError(resourceVersionAfter(wanted), resourceVersionAfter(current), 1)
	}
	if err := etcd.client.RequestProgress(watchContext(ctx)); err != nil {
		return timeout(err)
	}
	return nil
}

// timeout is what a read answers that could not wait any longer.
func timeout(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return apierrors.NewTimeoutError(fmt.Sprintf("works are not up to date yet: %v", err), 1)
}
