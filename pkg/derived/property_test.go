// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/render"
)

// seen is what a reader may know of a work.
type seen struct {
	ResourceVersion uint64
	Type            watch.EventType
	Key             string
	Content         string
}

func contentOf(spec work.WorkSpec) string {
	return fmt.Sprintf("%s %t %d %s", spec.ContentHash, spec.Deleted, spec.Binding.Generation, spec.Template.UID)
}

// model says what works there have to be, and what has to change in which order,
// by rendering everything after every write. It shares nothing with the engine
// but package render.
type model struct {
	templates map[string]*corev1.ConfigMap
	bindings  map[string]*workv1alpha1.ResourceBinding
	works     map[string]map[string]string // content by binding and by work key
	history   []seen
}

// wanted is the content of the works of a binding by key.
func (m *model) wanted(t *testing.T, b *workv1alpha1.ResourceBinding) map[string]string {
	t.Helper()
	if b == nil {
		return nil
	}
	var prepared *render.Template
	if template := m.templates[b.Spec.Resource.Name]; template != nil {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(template)
		if err != nil {
			t.Fatalf("convert template: %v", err)
		}
		object := &unstructured.Unstructured{Object: content}
		object.SetAPIVersion("v1")
		object.SetKind("ConfigMap")
		if prepared, err = render.Prepare(object); err != nil {
			t.Fatalf("prepare template: %v", err)
		}
	}
	works := map[string]string{}
	for _, result := range render.Works(testFleetID, prepared, b) {
		if result.Work == nil {
			continue
		}
		internal := &work.Work{}
		if err := workv1alpha1.Convert_v1alpha1_Work_To_work_Work(result.Work, internal, nil); err != nil {
			t.Fatalf("convert work: %v", err)
		}
		works[result.Work.Namespace+"/"+result.Work.Name] = contentOf(internal.Spec)
	}
	return works
}

// wrote notes what a write at a revision changes, given the bindings it is about.
func (m *model) wrote(t *testing.T, revision int64, about ...string) {
	t.Helper()
	slices.Sort(about)
	place := 0
	for _, name := range about {
		before, after := m.works[name], m.wanted(t, m.bindings[name])
		members := map[string]struct{}{}
		for key := range before {
			members[key] = struct{}{}
		}
		if b := m.bindings[name]; b != nil {
			work := workv1alpha1.WorkName(b.Namespace, b.Name)
			for _, cluster := range b.Spec.Clusters {
				members[memberNamespace(cluster.Name)+"/"+work] = struct{}{}
			}
			for _, tombstone := range b.Spec.Tombstones {
				members[memberNamespace(tombstone.ClusterName)+"/"+work] = struct{}{}
			}
		}
		for i, key := range slices.Sorted(maps.Keys(members)) {
			old, existed := before[key]
			content, exists := after[key]
			change := seen{ResourceVersion: resourceVersionAt(revision, place+i), Key: key, Content: content}
			switch {
			case existed && !exists:
				change.Type, change.Content = watch.Deleted, old
			case exists && !existed:
				change.Type = watch.Added
			case content != old:
				change.Type = watch.Modified
			default:
				continue
			}
			m.history = append(m.history, change)
		}
		place += len(members)
		m.works[name] = after
	}
}

// boundTo are the names of the bindings of a template.
func (m *model) boundTo(template string) []string {
	var names []string
	for name, b := range m.bindings {
		if b.Spec.Resource.Name == template {
			names = append(names, name)
		}
	}
	return names
}

// at are the works as of a resource version.
func (m *model) at(resourceVersion uint64, scope string) map[string]string {
	works := map[string]string{}
	for _, change := range m.history {
		if change.ResourceVersion > resourceVersion || !strings.HasPrefix(change.Key, scope) {
			continue
		}
		if change.Type == watch.Deleted {
			delete(works, change.Key)
			continue
		}
		works[change.Key] = change.Content
	}
	return works
}

// after are the changes after a resource version.
func (m *model) after(resourceVersion uint64, scope string) []seen {
	var changes []seen
	for _, change := range m.history {
		if change.ResourceVersion > resourceVersion && strings.HasPrefix(change.Key, scope) {
			changes = append(changes, change)
		}
	}
	return changes
}

// writer makes random writes and tells the model.
type writer struct {
	t     *testing.T
	fleet *fleet
	model *model
	rand  *rand.Rand
}

const (
	modelTemplates = 8
	modelMembers   = 7
)

func (w *writer) step() {
	template := fmt.Sprintf("conf-%d", w.rand.IntN(modelTemplates))
	name := fmt.Sprintf("binding-%d-%d", w.rand.IntN(2), w.rand.IntN(modelTemplates))
	switch choice := w.rand.IntN(100); {
	case choice < 25:
		w.putTemplate(template)
	case choice < 30:
		w.removeTemplate(template)
	case choice < 70:
		w.putBinding(name)
	case choice < 75:
		w.removeBinding(name)
	case choice < 85:
		w.touchBinding(name)
	default:
		w.fleet.putRaw(testPrefix+"/leases/x", "not a template")
	}
}

func (w *writer) putTemplate(name string) {
	template := w.model.templates[name]
	if template == nil {
		template = newConfigMap("shop", name, "")
		template.UID = "uid-" + template.UID
		if w.rand.IntN(4) == 0 {
			template.UID = "another" // not the one bindings decided upon
		}
		w.model.templates[name] = template
	}
	if w.rand.IntN(4) > 0 { // else nothing changes
		template.Data["content"] = fmt.Sprint(w.rand.IntN(100))
	}
	w.model.wrote(w.t, w.fleet.put(template), w.model.boundTo(name)...)
}

func (w *writer) removeTemplate(name string) {
	template := w.model.templates[name]
	if template == nil {
		return
	}
	delete(w.model.templates, name)
	w.model.wrote(w.t, w.fleet.remove(template), w.model.boundTo(name)...)
}

func (w *writer) putBinding(name string) {
	b := w.model.bindings[name]
	if b == nil {
		template := newConfigMap("shop", "conf-"+name[len(name)-1:], "")
		b = newBinding("ConfigMap", "v1", template)
		b.Name, b.UID = name, ""
		b.Spec.Resource.UID = "uid-" + template.UID
		w.model.bindings[name] = b
	}
	b.Generation++
	b.Spec.Clusters, b.Spec.Tombstones = nil, nil
	for member := range modelMembers {
		cluster := fmt.Sprintf("m%d", member)
		switch w.rand.IntN(4) {
		case 0, 1:
			b.Spec.Clusters = append(b.Spec.Clusters, workv1alpha1.TargetCluster{Name: cluster})
		case 2:
			b.Spec.Tombstones = append(b.Spec.Tombstones, workv1alpha1.Tombstone{ClusterName: cluster, UID: "gone"})
		}
	}
	w.model.wrote(w.t, w.fleet.put(b), name)
}

func (w *writer) removeBinding(name string) {
	b := w.model.bindings[name]
	if b == nil {
		return
	}
	delete(w.model.bindings, name)
	w.model.wrote(w.t, w.fleet.remove(b), name)
}

// touchBinding writes the status of a binding.
func (w *writer) touchBinding(name string) {
	if b := w.model.bindings[name]; b != nil {
		b.Status.SchedulerObservedGeneration++
		w.fleet.put(b)
	}
}

// segment is what a reader saw from one list on.
type segment struct {
	listed    map[string]string
	from      uint64
	events    []seen
	bookmarks []uint64 // positions: resource version, and after how many events
	counts    []int
}

// follower lists, then watches, stops and resumes at random. Scope is the prefix
// of keys it reads, with a slash, or empty.
type follower struct {
	fleet     *fleet
	namespace string
	scope     string
	rand      *rand.Rand
	segments  []*segment
	expired   int
}

// relist starts a segment with a list, in one of the ways clients do.
func (r *follower) relist(t *testing.T) uint64 {
	t.Helper()
	options := &metainternalversion.ListOptions{}
	switch r.rand.IntN(3) {
	case 0:
		options.ResourceVersion = "0"
	case 1:
		options.Limit = 3
	}
	s := &segment{listed: map[string]string{}}
	for {
		list, err := r.fleet.tryList(options, r.namespace)
		if err != nil {
			t.Errorf("list: %v", err)
			return 0
		}
		for i := range list.Items {
			s.listed[list.Items[i].Namespace+"/"+list.Items[i].Name] = contentOf(list.Items[i].Spec)
		}
		s.from = resourceVersionOf(t, list)
		if list.Continue == "" {
			break
		}
		options.Continue = list.Continue
	}
	r.segments = append(r.segments, s)
	return s.from
}

// run follows until done is closed and it has seen the last change.
func (r *follower) run(t *testing.T, done <-chan struct{}, last func() uint64) {
	t.Helper()
	position := r.relist(t)
	deadline := time.Now().Add(waitLong)
	for time.Now().Before(deadline) {
		select {
		case <-done:
			if position >= last() {
				return
			}
		default:
		}
		if r.rand.IntN(30) == 0 {
			position = r.relist(t)
			continue
		}
		w, err := r.fleet.tryWatch(&metainternalversion.ListOptions{ResourceVersion: fmt.Sprint(position)}, r.namespace)
		if err != nil {
			t.Errorf("watch from %d: %v", position, err)
			return
		}
		position = r.read(t, w, position)
		w.Stop()
	}
	t.Errorf("reader of %q stands at %d, last change is %d", r.scope, position, last())
}

// read reads some events and returns where to resume.
func (r *follower) read(t *testing.T, w watch.Interface, position uint64) uint64 {
	t.Helper()
	current := r.segments[len(r.segments)-1]
	timeout := time.After(time.Duration(r.rand.IntN(300)) * time.Millisecond)
	for range 1 + r.rand.IntN(40) {
		select {
		case <-timeout:
			return position
		case e, ok := <-w.ResultChan():
			if !ok {
				return position
			}
			if e.Type == watch.Error {
				r.expired++
				return r.relist(t)
			}
			got := workOf(t, e)
			position = resourceVersionOf(t, got)
			if e.Type == watch.Bookmark {
				current.bookmarks = append(current.bookmarks, position)
				current.counts = append(current.counts, len(current.events))
				continue
			}
			current.events = append(current.events, seen{
				ResourceVersion: position, Type: e.Type, Key: got.Namespace + "/" + got.Name, Content: contentOf(got.Spec),
			})
		}
	}
	return position
}

// check compares what the reader saw with what happened.
func (r *follower) check(t *testing.T, m *model) {
	t.Helper()
	for i, s := range r.segments {
		if diff := gocmp.Diff(m.at(s.from, r.scope), s.listed); diff != "" {
			t.Errorf("scope %q, list %d at %d (-happened +seen):\n%s", r.scope, i, s.from, diff)
		}
		want := m.after(s.from, r.scope)
		if len(s.events) > len(want) {
			t.Errorf("scope %q, segment %d: %d events seen, %d happened", r.scope, i, len(s.events), len(want))
			continue
		}
		if diff := gocmp.Diff(want[:len(s.events)], s.events, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("scope %q, segment %d from %d (-happened +seen):\n%s", r.scope, i, s.from, diff)
		}
		for j, bookmark := range s.bookmarks {
			happened, _ := slices.BinarySearchFunc(want, bookmark+1, func(c seen, rv uint64) int { return cmp.Compare(c.ResourceVersion, rv) })
			if happened > s.counts[j] {
				t.Errorf("scope %q, segment %d: bookmark %d came after %d events, %d happened before it", r.scope, i, bookmark, s.counts[j], happened)
			}
		}
	}
}

// TestReadersMissNothing makes random writes while readers of one member and of
// all list, watch, stop anywhere and resume. Each must see exactly what happened,
// in order, from any resource version on.
func TestReadersMissNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	f := newFleet(t)
	m := &model{
		templates: map[string]*corev1.ConfigMap{},
		bindings:  map[string]*workv1alpha1.ResourceBinding{},
		works:     map[string]map[string]string{},
	}
	w := &writer{t: t, fleet: f, model: m, rand: rand.New(rand.NewPCG(seed, 0))}
	for range 50 {
		w.step()
	}
	scopes := []string{"", "", "m0", "m0", "m1", "m2", "m6"}
	readers := make([]*follower, len(scopes))
	done := make(chan struct{})
	var running sync.WaitGroup
	for i, member := range scopes {
		readers[i] = &follower{fleet: f, rand: rand.New(rand.NewPCG(seed, uint64(i+1)))}
		if member != "" {
			readers[i].namespace = memberNamespace(member)
			readers[i].scope = memberNamespace(member) + "/"
		}
		running.Go(func() {
			readers[i].run(t, done, func() uint64 { // only called once the model rests
				if all := m.after(0, readers[i].scope); len(all) > 0 {
					return all[len(all)-1].ResourceVersion
				}
				return 0
			})
		})
	}
	for range 1500 {
		w.step()
	}
	close(done)
	running.Wait()
	events := 0
	for _, r := range readers {
		r.check(t, m)
		for _, s := range r.segments {
			events += len(s.events)
		}
		if r.expired > 0 {
			t.Errorf("scope %q: told %d times that history is gone, want never", r.scope, r.expired)
		}
	}
	t.Logf("%d changes, %d events read", len(m.history), events)
	if events == 0 {
		t.Error("readers saw nothing")
	}
	latest := f.list(&metainternalversion.ListOptions{}, "")
	got := map[string]string{}
	for i := range latest.Items {
		got[latest.Items[i].Namespace+"/"+latest.Items[i].Name] = contentOf(latest.Items[i].Spec)
	}
	if diff := gocmp.Diff(m.at(resourceVersionAfter(1<<40), ""), got); diff != "" {
		t.Errorf("works at the end (-want +got):\n%s", diff)
	}
}
