// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"

	"fleet.dev/fleet/pkg/apis/work"
)

// watchBuffer is how many events a watch holds for a slow receiver before it
// stops reading the ledger, which keeps the rest for it.
const watchBuffer = 100

// Watch implements storage.Interface. Events come in the order of resource
// versions, none is missing between two of them. With ProgressNotify a bookmark
// follows whenever the watch has caught up with a newer revision.
func (s *worksStorage) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	prefix, err := storage.PrepareKey(s.prefix, key, opts.Recursive)
	if err != nil {
		return nil, err
	}
	resourceVersion, err := s.Versioner().ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &worksWatch{
		storage: s,
		prefix:  s.workKey(prefix),
		opts:    opts,
		after:   resourceVersion,
		cancel:  cancel,
		result:  make(chan watch.Event, watchBuffer),
	}
	w.running.Go(func() { w.run(ctx) })
	utilflowcontrol.WatchInitialized(ctx)
	return w, nil
}

// worksWatch is one watch.
type worksWatch struct {
	storage *worksStorage
	prefix  string // of keys in the ledger; the whole key unless recursive
	opts    storage.ListOptions
	after   uint64 // resource version, 0 for any
	cancel  context.CancelFunc
	result  chan watch.Event
	running sync.WaitGroup
}

// Stop implements watch.Interface.
func (w *worksWatch) Stop() { w.cancel() }

// ResultChan implements watch.Interface.
func (w *worksWatch) ResultChan() <-chan watch.Event { return w.result }

func (w *worksWatch) run(ctx context.Context) {
	defer close(w.result)
	defer w.cancel()
	switch err := w.stream(ctx); {
	case errors.Is(err, errStopped):
		// The server is going down. An error would make the Cacher ask again at once,
		// and again, until it is told to stop too.
		<-ctx.Done()
	case err != nil:
		w.sendError(ctx, err)
	}
}

// stream sends until the context ends or the history it needs is gone.
func (w *worksWatch) stream(ctx context.Context) error {
	reader, err := w.start(ctx)
	if err != nil {
		return err
	}
	defer reader.close()
	bookmarked := w.after
	for {
		batch, err := reader.next()
		if err != nil {
			return err
		}
		for i := range batch.changes {
			if event := w.event(&batch.changes[i]); event != nil && !w.send(ctx, *event) {
				return nil
			}
		}
		if batch.advanced == nil {
			continue // more may be waiting
		}
		if reached := resourceVersionAfter(batch.revision); w.opts.ProgressNotify && reached > bookmarked {
			if !w.sendBookmark(ctx, reached, false) {
				return nil
			}
			bookmarked = reached
		}
		select {
		case <-batch.advanced:
		case <-ctx.Done():
			return nil
		}
	}
}

// start sends the works there are, if they are asked for, and returns a reader of
// what changes from there on.
func (w *worksWatch) start(ctx context.Context) (*reader, error) {
	initial := w.opts.SendInitialEvents
	if (initial == nil || !*initial) && w.after > 0 {
		if err := w.storage.engine.waitFor(ctx, 0); err != nil {
			return nil, err
		}
		return w.storage.engine.ledger.follow(w.after)
	}
	if err := w.storage.waitNotOlderThan(ctx, w.opts.ResourceVersion); err != nil {
		return nil, err
	}
	works, reader := w.storage.engine.ledger.snapshotAndFollow()
	w.after = reader.position
	if initial != nil && !*initial {
		return reader, nil
	}
	for _, e := range collect(works, w.prefix, w.prefix, w.opts.Recursive) {
		if w.matches(e) && !w.send(ctx, watch.Event{Type: watch.Added, Object: e.work}) {
			return reader, nil
		}
	}
	if initial != nil && w.opts.Predicate.AllowWatchBookmarks {
		w.sendBookmark(ctx, w.after, true)
	}
	return reader, nil
}

// event is what a change means to the watch, nil for nothing.
func (w *worksWatch) event(c *change) *watch.Event {
	if !w.covers(c.key()) {
		return nil
	}
	before, after := c.old != nil && w.matches(c.old), c.next != nil && w.matches(c.next)
	switch {
	case after && before:
		return &watch.Event{Type: watch.Modified, Object: c.next.work}
	case after:
		return &watch.Event{Type: watch.Added, Object: c.next.work}
	case before:
		return &watch.Event{Type: watch.Deleted, Object: withResourceVersion(c.old.work, c.resourceVersion)}
	default:
		return nil
	}
}

// covers says whether the watch is of the key.
func (w *worksWatch) covers(key string) bool {
	if w.opts.Recursive {
		return strings.HasPrefix(key, w.prefix)
	}
	return key == w.prefix
}

func (w *worksWatch) matches(e *entry) bool {
	if w.opts.Predicate.Empty() {
		return true
	}
	matched, err := w.opts.Predicate.Matches(e.work)
	return err == nil && matched
}

// withResourceVersion is the last state of a work with the version it went at.
func withResourceVersion(last *work.Work, resourceVersion uint64) *work.Work {
	gone := *last
	gone.ResourceVersion = strconv.FormatUint(resourceVersion, 10)
	return &gone
}

func (w *worksWatch) sendBookmark(ctx context.Context, resourceVersion uint64, initialEventsEnd bool) bool {
	object := w.storage.newFunc()
	err := w.storage.Versioner().UpdateObject(object, resourceVersion)
	if err == nil && initialEventsEnd {
		err = storage.AnnotateInitialEventsEndBookmark(object)
	}
	if err != nil {
		w.sendError(ctx, fmt.Errorf("make bookmark: %w", err))
		return false
	}
	return w.send(ctx, watch.Event{Type: watch.Bookmark, Object: object})
}

func (w *worksWatch) send(ctx context.Context, event watch.Event) bool {
	select {
	case w.result <- event:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *worksWatch) sendError(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	var status apierrors.APIStatus = apierrors.NewInternalError(err)
	errors.As(err, &status)
	object := status.Status()
	w.send(ctx, watch.Event{Type: watch.Error, Object: &object})
}
