// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// watcher is somebody who watches.
type watcher struct {
	resource  schema.GroupVersionResource
	namespace string // empty for all
	selector  labels.Selector
	metadata  bool // only metadata is wanted
	events    chan event
}

type event struct {
	Type   string         `json:"type"`
	Object map[string]any `json:"object"`
}

func (w *watcher) selects(object *unstructured.Unstructured) bool {
	return (w.namespace == "" || w.namespace == object.GetNamespace()) && w.selector.Matches(labels.Set(object.GetLabels()))
}

func (w *watcher) content(object *unstructured.Unstructured) map[string]any {
	if !w.metadata {
		return object.Object
	}
	return map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object.Object["metadata"]}
}

// remembered is how many changes watches can be resumed over at least.
const remembered = 1000

// change is one of an object.
type change struct {
	resource      schema.GroupVersionResource
	kind          string // of the event
	before, after *unstructured.Unstructured
	version       int64
}

// notify tells watchers of a change and remembers it.
func (m *Member) notify(resource schema.GroupVersionResource, kind string, before, after *unstructured.Unstructured) {
	made := change{resource: resource, kind: kind, before: before, after: after, version: m.version}
	if m.changes = append(m.changes, made); len(m.changes) == 2*remembered {
		m.forgotten, m.changes = m.changes[remembered-1].version, slices.Clone(m.changes[remembered:])
	}
	for w := range m.watchers {
		w.tell(made)
	}
}

// tell sends a change in the watcher's view: an object that starts or ends to match
// a selector comes or goes.
func (w *watcher) tell(c change) {
	if w.resource != c.resource {
		return
	}
	was, is := c.kind != "ADDED" && w.selects(c.before), c.kind != "DELETED" && w.selects(c.after)
	switch {
	case is && was:
		w.events <- event{"MODIFIED", w.content(c.after)}
	case is:
		w.events <- event{"ADDED", w.content(c.after)}
	case was:
		w.events <- event{"DELETED", w.content(c.after)}
	}
}

// resume sends what a watcher is to see first: all there is when it asks for that,
// else what changed after the resource version it names.
func (m *Member) resume(w *watcher, kind Kind, query url.Values) *apierrors.StatusError {
	if query.Get("sendInitialEvents") == "true" {
		for _, object := range m.selected(w) {
			w.events <- event{"ADDED", w.content(object)}
		}
		w.events <- m.bookmark(kind, w.metadata)
		return nil
	}
	after, err := strconv.ParseInt(cmp.Or(query.Get("resourceVersion"), "0"), 10, 64)
	switch {
	case err != nil:
		return apierrors.NewBadRequest(err.Error())
	case after == 0:
		return nil // from now on
	case after < m.forgotten:
		return apierrors.NewResourceExpired("too old resource version")
	}
	for _, made := range m.changes {
		if made.version > after {
			w.tell(made)
		}
	}
	return nil
}

// serveWatch streams changes.
func (m *Member) serveWatch(rw http.ResponseWriter, r *http.Request, kind Kind, namespace string) {
	query := r.URL.Query()
	selector, invalid := labels.Parse(query.Get("labelSelector"))
	if invalid != nil {
		answerError(rw, apierrors.NewBadRequest(invalid.Error()))
		return
	}
	w := &watcher{
		resource: kind.GroupVersion().WithResource(kind.Resource), namespace: namespace, selector: selector,
		metadata: wantsMetadata(r), events: make(chan event, 10000),
	}
	m.mu.Lock()
	err := m.resume(w, kind, query)
	if err == nil {
		m.watchers[w] = struct{}{}
	}
	m.mu.Unlock()
	if err != nil {
		answerError(rw, err)
		return
	}
	defer func() {
		m.mu.Lock()
		delete(m.watchers, w)
		m.mu.Unlock()
	}()
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(http.StatusOK)
	rw.(http.Flusher).Flush()
	encoder := json.NewEncoder(rw)
	for {
		select {
		case <-r.Context().Done():
			return
		case next := <-w.events:
			if err := encoder.Encode(next); err != nil {
				return
			}
			rw.(http.Flusher).Flush()
		}
	}
}

func wantsMetadata(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		if strings.Contains(accept, "as=PartialObjectMetadata") {
			return true
		}
	}
	return false
}

func (m *Member) bookmark(kind Kind, metadata bool) event {
	object := empty(kind.GroupVersionKind)
	object.SetResourceVersion(strconv.FormatInt(m.version, 10))
	object.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return event{"BOOKMARK", (&watcher{metadata: metadata}).content(object)}
}

// selected returns what the watcher selects, sorted by key.
func (m *Member) selected(w *watcher) []*unstructured.Unstructured {
	objects := m.objects[w.resource]
	var selected []*unstructured.Unstructured
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if w.selects(objects[key]) {
			selected = append(selected, objects[key])
		}
	}
	return selected
}

func (m *Member) list(kind Kind, namespace, selector string) map[string]any {
	parsed, err := labels.Parse(selector)
	if err != nil {
		parsed = labels.Nothing()
	}
	items := []any{}
	w := &watcher{resource: kind.GroupVersion().WithResource(kind.Resource), namespace: namespace, selector: parsed}
	for _, object := range m.selected(w) {
		items = append(items, object.Object)
	}
	return map[string]any{
		"apiVersion": kind.GroupVersion().String(), "kind": kind.Kind + "List",
		"metadata": map[string]any{"resourceVersion": strconv.FormatInt(m.version, 10)},
		"items":    items,
	}
}
