// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
)

// watchBuffer is how many events a watch holds for a slow receiver before it
// stops reading the ledger, which keeps the rest for it.
const watchBuffer = 100

// WatchOptions say what to watch and how.
type WatchOptions[T runtime.Object] struct {
	// Prefix of keys; the whole key unless recursive.
	Prefix string
	// List are the options of the request.
	List storage.ListOptions
	// After is the resource version to begin after, 0 for any.
	After uint64
	// Wait waits until the ledger is as new as a watch from the latest state has to
	// be, or, resumed being true, until it is filled at all.
	Wait func(ctx context.Context, resumed bool) error
	// NewFunc makes the object of a bookmark.
	NewFunc func() runtime.Object
	// Gone is the last state of an object with the resource version it went at.
	Gone func(last T, resourceVersion uint64) T
}

// Watch streams changes of the ledger until the context ends. Events come in the
// order of resource versions, none is missing between two of them. With
// ProgressNotify a bookmark follows whenever the watch has caught up with a newer
// position.
func (l *Ledger[T]) Watch(ctx context.Context, options WatchOptions[T]) watch.Interface {
	ctx, cancel := context.WithCancel(ctx)
	w := &ledgerWatch[T]{ledger: l, WatchOptions: options, cancel: cancel, result: make(chan watch.Event, watchBuffer)}
	w.running.Go(func() { w.run(ctx) })
	utilflowcontrol.WatchInitialized(ctx)
	return w
}

// ledgerWatch is one watch.
type ledgerWatch[T runtime.Object] struct {
	WatchOptions[T]

	ledger  *Ledger[T]
	cancel  context.CancelFunc
	result  chan watch.Event
	running sync.WaitGroup
}

// Stop implements watch.Interface.
func (w *ledgerWatch[T]) Stop() { w.cancel() }

// ResultChan implements watch.Interface.
func (w *ledgerWatch[T]) ResultChan() <-chan watch.Event { return w.result }

func (w *ledgerWatch[T]) run(ctx context.Context) {
	defer close(w.result)
	defer w.cancel()
	switch err := w.stream(ctx); {
	case errors.Is(err, ErrStopped):
		// The server is going down. An error would make the Cacher ask again at once,
		// and again, until it is told to stop too.
		<-ctx.Done()
	case err != nil:
		w.sendError(ctx, err)
	}
}

// stream sends until the context ends or the history it needs is gone.
func (w *ledgerWatch[T]) stream(ctx context.Context) error {
	reader, err := w.start(ctx)
	if err != nil {
		return err
	}
	defer reader.Close()
	bookmarked := w.After
	for {
		batch, err := reader.Next()
		if err != nil {
			return err
		}
		for i := range batch.Changes {
			if event := w.event(&batch.Changes[i]); event != nil && !w.send(ctx, *event) {
				return nil
			}
		}
		if batch.Advanced == nil {
			continue // more may be waiting
		}
		if reached := batch.Position; w.List.ProgressNotify && reached > bookmarked {
			if !w.sendBookmark(ctx, reached, false) {
				return nil
			}
			bookmarked = reached
		}
		select {
		case <-batch.Advanced:
		case <-ctx.Done():
			return nil
		}
	}
}

// start sends the objects there are, if they are asked for, and returns a reader
// of what changes from there on.
func (w *ledgerWatch[T]) start(ctx context.Context) (*Reader[T], error) {
	initial := w.List.SendInitialEvents
	if (initial == nil || !*initial) && w.After > 0 {
		if err := w.Wait(ctx, true); err != nil {
			return nil, err
		}
		return w.ledger.Follow(w.After)
	}
	if err := w.Wait(ctx, false); err != nil {
		return nil, err
	}
	objects, position, reader := w.ledger.SnapshotAndFollow()
	w.After = position
	if initial != nil && !*initial {
		return reader, nil
	}
	for _, e := range Collect(objects, w.Prefix, w.Prefix, w.List.Recursive) {
		if w.matches(e) && !w.send(ctx, watch.Event{Type: watch.Added, Object: e.Object}) {
			return reader, nil
		}
	}
	if initial != nil && w.List.Predicate.AllowWatchBookmarks {
		w.sendBookmark(ctx, w.After, true)
	}
	return reader, nil
}

// event is what a change means to the watch, nil for nothing.
func (w *ledgerWatch[T]) event(c *Change[T]) *watch.Event {
	if !w.covers(c.Key()) {
		return nil
	}
	before, after := c.Old != nil && w.matches(c.Old), c.Next != nil && w.matches(c.Next)
	switch {
	case after && before:
		return &watch.Event{Type: watch.Modified, Object: c.Next.Object}
	case after:
		return &watch.Event{Type: watch.Added, Object: c.Next.Object}
	case before:
		return &watch.Event{Type: watch.Deleted, Object: w.Gone(c.Old.Object, c.ResourceVersion)}
	default:
		return nil
	}
}

// covers says whether the watch is of the key.
func (w *ledgerWatch[T]) covers(key string) bool {
	if w.List.Recursive {
		return strings.HasPrefix(key, w.Prefix)
	}
	return key == w.Prefix
}

func (w *ledgerWatch[T]) matches(e *Entry[T]) bool {
	if w.List.Predicate.Empty() {
		return true
	}
	matched, err := w.List.Predicate.Matches(e.Object)
	return err == nil && matched
}

func (w *ledgerWatch[T]) sendBookmark(ctx context.Context, resourceVersion uint64, initialEventsEnd bool) bool {
	object := w.NewFunc()
	err := storage.APIObjectVersioner{}.UpdateObject(object, resourceVersion)
	if err == nil && initialEventsEnd {
		err = storage.AnnotateInitialEventsEndBookmark(object)
	}
	if err != nil {
		w.sendError(ctx, fmt.Errorf("make bookmark: %w", err))
		return false
	}
	return w.send(ctx, watch.Event{Type: watch.Bookmark, Object: object})
}

func (w *ledgerWatch[T]) send(ctx context.Context, event watch.Event) bool {
	select {
	case w.result <- event:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *ledgerWatch[T]) sendError(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	var status apierrors.APIStatus = apierrors.NewInternalError(err)
	errors.As(err, &status)
	object := status.Status()
	w.send(ctx, watch.Event{Type: watch.Error, Object: &object})
}
