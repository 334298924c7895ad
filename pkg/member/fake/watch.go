// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"encoding/json"
	"maps"
	"net/http"
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

// notify tells watchers of a change, in their view: an object that starts or ends
// to match a selector comes or goes.
func (m *Member) notify(resource schema.GroupVersionResource, kind string, before, after *unstructured.Unstructured) {
	for w := range m.watchers {
		if w.resource != resource {
			continue
		}
		was, is := kind != "ADDED" && w.selects(before), kind != "DELETED" && w.selects(after)
		switch {
		case is && was:
			w.events <- event{"MODIFIED", w.content(after)}
		case is:
			w.events <- event{"ADDED", w.content(after)}
		case was:
			w.events <- event{"DELETED", w.content(after)}
		}
	}
}

// serveWatch streams changes: from the beginning when initial events are asked
// for, else from now on, because nothing older is remembered.
func (m *Member) serveWatch(rw http.ResponseWriter, r *http.Request, kind Kind, namespace string) {
	query := r.URL.Query()
	selector, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		answerError(rw, apierrors.NewBadRequest(err.Error()))
		return
	}
	w := &watcher{
		resource: kind.GroupVersion().WithResource(kind.Resource), namespace: namespace, selector: selector,
		metadata: wantsMetadata(r), events: make(chan event, 10000),
	}
	m.mu.Lock()
	if query.Get("sendInitialEvents") == "true" {
		for _, object := range m.selected(w) {
			w.events <- event{"ADDED", w.content(object)}
		}
		w.events <- m.bookmark(kind, w.metadata)
	}
	m.watchers[w] = struct{}{}
	m.mu.Unlock()
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
