// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// chunk is how many objects of a list are taken in at once.
const chunk = 1024

// link follows the objects of one kind in one member.
type link struct {
	client     *client
	union      *union
	reserve    func(ctx context.Context, changes int) error
	maxBackoff time.Duration

	synced chan struct{} // closed when everything was read once
	once   sync.Once

	mu  sync.Mutex
	err error // guarded by mu; of the last request, nil while a watch is open
}

// run follows the member until the context ends. What was seen stays.
func (l *link) run(ctx context.Context) {
	lists := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := l.client.list(ctx, options)
			if err != nil {
				l.note(err)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			w, err := l.watch(ctx, options)
			l.note(err)
			return w, err
		},
	}
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "cluster", l.client.member, "resource", l.client.kind.Resource.Resource)
	reflector := cache.NewReflectorWithOptions(lists, l.client.kind.New(), &taker{ctx: ctx, link: l}, cache.ReflectorOptions{
		Name:    "fleet projection of " + l.client.member,
		Logger:  &logger,
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 10, Cap: l.maxBackoff},
	})
	reflector.RunWithContext(ctx)
}

func (l *link) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	options.LabelSelector = l.client.kind.selector(l.client.fleetID())
	options.Watch = true
	request, err := l.client.request(ctx, http.MethodGet, "", "", "")
	if err != nil {
		return nil, err
	}
	return request.VersionedParams(&options, scheme.ParameterCodec).Watch(ctx)
}

func (l *link) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// errNotRead says that a member was not read yet.
var errNotRead = errors.New("it has not answered yet")

// trouble says why what was seen of the member may be out of date, nil when
// nothing is known to be wrong.
func (l *link) trouble() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	select {
	case <-l.synced:
		return nil
	default:
		return errNotRead
	}
}

// taker is the store of a reflector: it hands everything on to the union.
type taker struct {
	ctx  context.Context //nolint:containedctx // the interface has none
	link *link
}

var (
	_ cache.ReflectorStore    = &taker{}
	_ cache.TransformingStore = &taker{}
)

// Transformer implements cache.TransformingStore: nothing big is kept in vain
// while a list comes in.
func (t *taker) Transformer() cache.TransformFunc {
	return func(object any) (any, error) {
		if accessor, ok := object.(metav1.Object); ok {
			accessor.SetManagedFields(nil)
		}
		return object, nil
	}
}

// Add implements cache.ReflectorStore.
func (t *taker) Add(object any) error { return t.Update(object) }

// Update implements cache.ReflectorStore.
func (t *taker) Update(object any) error {
	l := t.link
	seen, shown, err := t.observe(object)
	if err != nil {
		return err
	}
	if err := l.reserve(t.ctx, 1); err != nil {
		return err
	}
	if !shown {
		l.union.remove(l.client.member, seen.key, seen.version)
		return nil
	}
	l.union.put(l.client.member, seen, false)
	return nil
}

func (t *taker) observe(object any) (observation, bool, error) {
	l := t.link
	typed, ok := object.(runtime.Object)
	if !ok {
		return observation{}, false, fmt.Errorf("member %q sent %T", l.client.member, object)
	}
	seen, shown, err := l.client.kind.observe(l.client.member, typed)
	return seen, shown, l.client.note(t.ctx, seen.key, err)
}

// Delete implements cache.ReflectorStore.
func (t *taker) Delete(object any) error {
	l := t.link
	accessor, ok := object.(metav1.Object)
	if !ok {
		return fmt.Errorf("member %q sent %T", l.client.member, object)
	}
	if err := l.reserve(t.ctx, 1); err != nil {
		return err
	}
	l.union.remove(l.client.member, l.client.kind.key(l.client.member, accessor), numberOf(accessor.GetResourceVersion()))
	return nil
}

// Replace implements cache.ReflectorStore.
func (t *taker) Replace(objects []any, version string) error {
	l := t.link
	keys := make(map[string]struct{}, len(objects))
	for from := 0; from < len(objects); from += chunk {
		var seen []observation
		for _, object := range objects[from:min(from+chunk, len(objects))] {
			made, shown, err := t.observe(object)
			if err != nil {
				return err
			}
			if shown {
				seen = append(seen, made)
				keys[made.key] = struct{}{}
			}
		}
		if err := l.reserve(t.ctx, len(seen)); err != nil {
			return err
		}
		l.union.putAll(l.client.member, seen)
	}
	for more := true; more; {
		if err := l.reserve(t.ctx, chunk); err != nil {
			return err
		}
		more = l.union.retain(l.client.member, keys, numberOf(version))
	}
	l.once.Do(func() { close(l.synced) })
	return nil
}

// Resync implements cache.ReflectorStore.
func (t *taker) Resync() error { return nil }
