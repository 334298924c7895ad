// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"
	cacherstorage "k8s.io/apiserver/pkg/storage/cacher"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// TestEqualResourceVersionsLoseEvents shows why a resource version is not just an
// etcd revision. Two works, of two members, that changed in one revision are
// given to upstream's Cacher with the same resource version. A watch of the
// second member that starts between the two never gets its event. Should this
// test fail after an upgrade, the places could go.
func TestEqualResourceVersionsLoseEvents(t *testing.T) {
	source := &scriptedStorage{events: watch.NewFake()}
	config := cacherstorage.Config{
		Storage:             source,
		Versioner:           storage.APIObjectVersioner{},
		GroupResource:       worksResource,
		EventsHistoryWindow: cacherstorage.DefaultEventFreshDuration,
		ResourcePrefix:      "/works",
		KeyFunc: func(object runtime.Object) (string, error) {
			w := object.(*work.Work)
			return "/works/" + w.Namespace + "/" + w.Name, nil
		},
		GetAttrsFunc: storage.DefaultNamespaceScopedAttr,
		NewFunc:      func() runtime.Object { return &work.Work{} },
		NewListFunc:  func() runtime.Object { return &work.WorkList{} },
		Codec:        fleetCodecs.LegacyCodec(workv1alpha1.SchemeGroupVersion),
	}
	cacher, err := cacherstorage.NewCacherFromConfig(config)
	if err != nil {
		t.Fatalf("create cacher: %v", err)
	}
	defer cacher.Stop()
	if err := cacher.Wait(t.Context()); err != nil {
		t.Fatalf("wait for cacher: %v", err)
	}
	send := func(member string, revision int) {
		w := &work.Work{}
		w.Namespace, w.Name, w.ResourceVersion = memberNamespace(member), "web", strconv.Itoa(revision)
		source.events.Add(w)
	}

	const revision = 10
	send("m1", revision)
	if err := cacher.Get(t.Context(), "/works/"+memberNamespace("m1")+"/web", storage.GetOptions{ResourceVersion: "10"}, &work.Work{}); err != nil {
		t.Fatalf("wait for the first event: %v", err)
	}
	ctx := genericapirequest.WithNamespace(t.Context(), memberNamespace("m2"))
	w, err := cacher.Watch(ctx, "/works/"+memberNamespace("m2"), storage.ListOptions{
		ResourceVersion: "1", Recursive: true, Predicate: storage.Everything,
	})
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	defer w.Stop()
	send("m2", revision)
	send("m2", revision+1)

	got := workOf(t, next(t, w))
	if got.ResourceVersion == strconv.Itoa(revision) {
		t.Error("the watch got the second event of the revision: upstream tells events of one resource version apart now")
	}
}

// scriptedStorage is an empty storage whose watch sends what the test says.
type scriptedStorage struct {
	storage.Interface
	events *watch.FakeWatcher
}

func (s *scriptedStorage) GetList(_ context.Context, _ string, _ storage.ListOptions, list runtime.Object) error {
	list.(*work.WorkList).ListMeta = metav1.ListMeta{ResourceVersion: "1"}
	return nil
}

func (s *scriptedStorage) Watch(_ context.Context, _ string, options storage.ListOptions) (watch.Interface, error) {
	if options.SendInitialEvents != nil && *options.SendInitialEvents {
		bookmark := &work.Work{}
		bookmark.ResourceVersion = "1"
		bookmark.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		go s.events.Action(watch.Bookmark, bookmark)
	}
	return s.events, nil
}

func (s *scriptedStorage) RequestWatchProgress(context.Context) error                { return nil }
func (s *scriptedStorage) GetCurrentResourceVersion(context.Context) (uint64, error) { return 1, nil }
func (s *scriptedStorage) EnableResourceSizeEstimation(storage.KeysFunc) error       { return nil }
func (s *scriptedStorage) CompactRevision() int64                                    { return 0 }
func (s *scriptedStorage) Versioner() storage.Versioner                              { return storage.APIObjectVersioner{} }
