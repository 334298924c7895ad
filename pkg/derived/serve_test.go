// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// event is an event in short.
type event struct {
	Type      watch.EventType
	Namespace string
	Template  string
	Deleted   bool
}

func shortEvent(t *testing.T, e watch.Event) event {
	t.Helper()
	w := workOf(t, e)
	return event{Type: e.Type, Namespace: w.Namespace, Template: w.Spec.Template.Name, Deleted: w.Spec.Deleted}
}

func expectEvents(t *testing.T, w watch.Interface, want ...event) []*work.Work {
	t.Helper()
	var got []event
	var works []*work.Work
	for range want {
		e := next(t, w)
		got = append(got, shortEvent(t, e))
		works = append(works, workOf(t, e))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	return works
}

// TestLifeOfAWork follows one template from its first binding to the last
// tombstone.
func TestLifeOfAWork(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	start := f.list(&metainternalversion.ListOptions{}, "")
	if len(start.Items) != 0 {
		t.Fatalf("an empty fleet has %d works", len(start.Items))
	}
	w := f.watch(&metainternalversion.ListOptions{ResourceVersion: start.ResourceVersion}, "")
	m1, m2 := memberNamespace("m1"), memberNamespace("m2")

	template := newDeployment("shop", "web", 6)
	f.put(template)
	binding := newBinding("Deployment", "apps/v1", template, "m1", "m2")
	binding.Spec.Clusters[0].Replicas, binding.Spec.Clusters[1].Replicas = 4, 2
	bound := f.put(binding)
	works := expectEvents(t, w,
		event{watch.Added, m1, "web", false},
		event{watch.Added, m2, "web", false})
	if got := revisionOf(resourceVersionOf(t, works[0])); got != bound {
		t.Errorf("revision of the work is %d, want that of the binding, %d", got, bound)
	}

	template.Status.ReadyReplicas = 3
	f.put(template)
	binding.Status.AggregatedStatus = []workv1alpha1.AggregatedStatusItem{{ClusterName: "m1", Applied: true}}
	f.put(binding)
	template.Spec.Template.Spec.Containers[0].Image = "nginx:2"
	template.Generation++
	changed := f.put(template)
	works = expectEvents(t, w, // none for the two writes of status
		event{watch.Modified, m1, "web", false},
		event{watch.Modified, m2, "web", false})
	if got := revisionOf(resourceVersionOf(t, works[0])); got != changed {
		t.Errorf("revision of the work is %d, want that of the template, %d", got, changed)
	}

	f.remove(template)
	expectEvents(t, w,
		event{watch.Deleted, m1, "web", false},
		event{watch.Deleted, m2, "web", false})

	binding.Spec.Clusters = nil
	binding.Spec.Tombstones = []workv1alpha1.Tombstone{{ClusterName: "m1", UID: template.UID}, {ClusterName: "m2", UID: template.UID, Orphan: true}}
	binding.Generation++
	f.put(binding)
	works = expectEvents(t, w,
		event{watch.Added, m1, "web", true},
		event{watch.Added, m2, "web", true})
	if works[0].Spec.Orphan || !works[1].Spec.Orphan || works[0].Spec.Template.UID != template.UID {
		t.Errorf("tombstones are %+v and %+v, want the uid of the template and only the second to orphan", works[0].Spec, works[1].Spec)
	}

	binding.Spec.Tombstones = binding.Spec.Tombstones[:1]
	binding.Generation++
	f.put(binding)
	expectEvents(t, w,
		event{watch.Modified, m1, "web", true},
		event{watch.Deleted, m2, "web", true})
	f.remove(binding)
	expectEvents(t, w, event{watch.Deleted, m1, "web", true})
	if left := f.list(&metainternalversion.ListOptions{}, ""); len(left.Items) != 0 {
		t.Errorf("%d works are left of a deleted binding", len(left.Items))
	}
}

// TestFinished has one of two members report that a Pod ran to its end: its work says so,
// also after a restart of the server.
func TestFinished(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	w := f.watch(&metainternalversion.ListOptions{ResourceVersion: f.list(&metainternalversion.ListOptions{}, "").ResourceVersion}, "")
	m1, m2 := memberNamespace("m1"), memberNamespace("m2")
	template := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "once", UID: "uid-once"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "nginx:1"}}},
	}
	f.put(template)
	binding := newBinding("Pod", "v1", template, "m1", "m2")
	f.put(binding)
	expectEvents(t, w, event{watch.Added, m1, "once", false}, event{watch.Added, m2, "once", false})

	said := func(phase string) *runtime.RawExtension {
		return &runtime.RawExtension{Raw: []byte(`{"phase":"` + phase + `"}`)}
	}
	binding.Status.AggregatedStatus = []workv1alpha1.AggregatedStatusItem{
		{ClusterName: "m1", TemplateUID: template.UID, Status: said("Running")},
		{ClusterName: "m2", TemplateUID: template.UID, Status: said("Running")},
	}
	f.put(binding) // nothing of that is rendered
	binding.Status.AggregatedStatus[1].Status = said("Succeeded")
	f.put(binding)
	if works := expectEvents(t, w, event{watch.Modified, m2, "once", false}); !works[0].Spec.Finished {
		t.Error("the work of the member in which the Pod ended does not say that it finished")
	}
	f.start()
	for _, work := range f.list(&metainternalversion.ListOptions{}, "").Items {
		if want := work.Namespace == m2; work.Spec.Finished != want {
			t.Errorf("after a restart the work in %s says finished: %t, want %t", work.Namespace, work.Spec.Finished, want)
		}
	}
}

// TestReadYourWrites reads right after each write: reads without a resource
// version are linearizable.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	template := newConfigMap("shop", "conf", "0")
	f.put(template)
	binding := newBinding("ConfigMap", "v1", template, "m1")
	f.put(binding)
	name := workv1alpha1.WorkName(binding.Namespace, binding.Name)
	ctx := genericapirequest.WithNamespace(t.Context(), memberNamespace("m1"))
	var last string
	for i := range 50 {
		template.Data["content"] = fmt.Sprint(i)
		f.put(template)
		f.putRaw("/elsewhere/x", fmt.Sprint(i)) // moves the revision on, outside the prefix
		object, err := f.works.Get(ctx, name, &metav1.GetOptions{})
		if err != nil {
			t.Fatalf("get work: %v", err)
		}
		got := object.(*work.Work)
		if got.Spec.ContentHash == last {
			t.Fatalf("write %d is not in a read after it", i)
		}
		last = got.Spec.ContentHash
		if listed := f.list(&metainternalversion.ListOptions{}, "").Items[0].Spec.ContentHash; listed != last {
			t.Fatalf("list has content %s, get %s", listed, last)
		}
	}
}

func TestGetUnknown(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	ctx := genericapirequest.WithNamespace(t.Context(), memberNamespace("m1"))
	if _, err := f.works.Get(ctx, "none", &metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get of an unknown work: %v, want not found", err)
	}
}

// TestGetIsACopy changes what Get returned, as a status update does.
func TestGetIsACopy(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	template := newConfigMap("shop", "conf", "0")
	f.put(template)
	f.put(newBinding("ConfigMap", "v1", template, "m1"))
	items := f.list(&metainternalversion.ListOptions{}, "").Items
	ctx := genericapirequest.WithNamespace(t.Context(), items[0].Namespace)
	for range 2 {
		object, err := f.works.Get(ctx, items[0].Name, &metav1.GetOptions{})
		if err != nil {
			t.Fatalf("get work: %v", err)
		}
		got := object.(*work.Work)
		if got.Labels["changed"] != "" {
			t.Fatal("what a reader changed in a work is in the next read")
		}
		got.Labels["changed"] = "yes"
	}
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for i := range 4 {
		template := newConfigMap("shop", fmt.Sprintf("conf-%d", i), "x")
		f.put(template)
		f.put(newBinding("ConfigMap", "v1", template, "m1", "m2"))
	}
	one := workv1alpha1.WorkName("shop", "conf-1-configmap")
	cases := map[string]struct {
		reason    string
		namespace string
		options   metainternalversion.ListOptions
		want      int
	}{
		"All": {
			reason: "All works of all members.",
			want:   8,
		},
		"Member": {
			reason:    "A member sees its own.",
			namespace: memberNamespace("m1"),
			want:      4,
		},
		"Label": {
			reason:  "Works carry the name of their template as a label.",
			options: metainternalversion.ListOptions{LabelSelector: selector(t, "fleet.dev/template-name in (conf-1, conf-2)")},
			want:    4,
		},
		"Field": {
			reason:    "Works are selected by name.",
			namespace: memberNamespace("m2"),
			options:   metainternalversion.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", one)},
			want:      1,
		},
		"AnyVersion": {
			reason:  "Version 0 is served from the cache.",
			options: metainternalversion.ListOptions{ResourceVersion: "0", LabelSelector: selector(t, "fleet.dev/template-kind=ConfigMap")},
			want:    8,
		},
	}
	f.list(&metainternalversion.ListOptions{}, "") // the cache is filled
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := len(f.list(&tc.options, tc.namespace).Items); got != tc.want {
				t.Errorf("%s\n%d works listed, want %d", tc.reason, got, tc.want)
			}
		})
	}

	w := f.watch(&metainternalversion.ListOptions{
		ResourceVersion: f.list(&metainternalversion.ListOptions{}, "").ResourceVersion,
		LabelSelector:   selector(t, "fleet.dev/template-name=conf-3"),
	}, memberNamespace("m2"))
	for _, name := range []string{"conf-0", "conf-3"} {
		f.put(newConfigMap("shop", name, "y"))
	}
	expectEvents(t, w, event{watch.Modified, memberNamespace("m2"), "conf-3", false})
}

// TestPagination reads page by page while works change: all pages are of the
// revision of the first.
func TestPagination(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for i := range 20 {
		template := newConfigMap("shop", fmt.Sprintf("conf-%02d", i), "x")
		f.put(template)
		f.put(newBinding("ConfigMap", "v1", template, "m1", "m2"))
	}
	want := f.list(&metainternalversion.ListOptions{}, "")
	var got []work.Work
	options := metainternalversion.ListOptions{Limit: 7}
	for page := 0; ; page++ {
		list := f.list(&options, "")
		got = append(got, list.Items...)
		if list.ResourceVersion != want.ResourceVersion {
			t.Fatalf("page %d is of version %s, want %s", page, list.ResourceVersion, want.ResourceVersion)
		}
		if list.Continue == "" {
			break
		}
		options.Continue = list.Continue
		f.put(newConfigMap("shop", fmt.Sprintf("conf-%02d", 19-page), "changed"))
		f.remove(newBinding("ConfigMap", "v1", newConfigMap("shop", fmt.Sprintf("conf-%02d", 10+page), ""), ""))
	}
	if diff := cmp.Diff(want.Items, got); diff != "" {
		t.Errorf("pages differ from one list (-list +pages):\n%s", diff)
	}
	exact := f.list(&metainternalversion.ListOptions{ResourceVersion: want.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}, "")
	if diff := cmp.Diff(want.Items, exact.Items); diff != "" {
		t.Errorf("list at an exact version differs (-before +after):\n%s", diff)
	}
}

// TestWatchList streams the works there are and goes on from there.
func TestWatchList(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for i := range 3 {
		template := newConfigMap("shop", fmt.Sprintf("conf-%d", i), "x")
		f.put(template)
		f.put(newBinding("ConfigMap", "v1", template, "m1", "m2"))
	}
	sendInitialEvents := true
	w := f.watch(&metainternalversion.ListOptions{
		SendInitialEvents: &sendInitialEvents, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	}, memberNamespace("m1"))
	var initial int
	for e := range w.ResultChan() {
		if e.Type == watch.Bookmark {
			if e.Object.(*work.Work).Annotations[metav1.InitialEventsAnnotationKey] != "true" {
				t.Fatalf("bookmark %v does not end the initial events", e.Object)
			}
			break
		}
		initial++
	}
	if initial != 3 {
		t.Errorf("%d initial events, want 3", initial)
	}
	f.put(newConfigMap("shop", "conf-2", "y"))
	expectEvents(t, w, event{watch.Modified, memberNamespace("m1"), "conf-2", false})
}

// TestRestart serves the same after the engine was started anew.
func TestRestart(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	template := newDeployment("shop", "web", 6)
	f.put(template)
	f.put(newBinding("Deployment", "apps/v1", template, "m1", "m2"))
	before := f.list(&metainternalversion.ListOptions{}, "")
	f.stop()
	f.start()
	after := f.list(&metainternalversion.ListOptions{}, "")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("works differ after a restart (-before +after):\n%s", diff)
	}
	w := f.watch(&metainternalversion.ListOptions{ResourceVersion: before.ResourceVersion}, memberNamespace("m2"))
	template.Labels = map[string]string{"new": "yes"}
	f.put(template)
	expectEvents(t, w, event{watch.Modified, memberNamespace("m2"), "web", false})
}
