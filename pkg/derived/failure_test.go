// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"crypto/aes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value"
	aestransformer "k8s.io/apiserver/pkg/storage/value/encrypt/aes"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// throughLink makes the engine reach etcd by a link that can be cut.
func throughLink(l **link) fleetOption {
	return func(f *fleet, _ *Options) {
		var endpoint string
		*l, endpoint = newLink(f.t, f.config.Transport.ServerList[0])
		f.config.Transport.ServerList = []string{endpoint}
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitLong); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func contents(list *work.WorkList) map[string]string {
	found := map[string]string{}
	for i := range list.Items {
		found[list.Items[i].Namespace+"/"+list.Items[i].Spec.Template.Name] = contentOf(list.Items[i].Spec)
	}
	return found
}

// TestLostConnection cuts the engine off, lets things happen, and mends the link:
// watches go on, with all that happened.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	var l *link
	f := newFleet(t, throughLink(&l))
	template := newConfigMap("shop", "conf", "0")
	f.put(template)
	f.put(newBinding("ConfigMap", "v1", template, "m1"))
	list := f.list(&metainternalversion.ListOptions{}, "")
	w := f.watch(&metainternalversion.ListOptions{ResourceVersion: list.ResourceVersion}, "")

	l.cut()
	other := newConfigMap("shop", "other", "0")
	f.put(other)
	f.put(newBinding("ConfigMap", "v1", other, "m1"))
	template.Data["content"] = "1"
	f.put(template)
	l.mend()
	expectEvents(t, w,
		event{watch.Added, memberNamespace("m1"), "other", false},
		event{watch.Modified, memberNamespace("m1"), "conf", false})
	if loads := f.engine.ledger.Resets(); loads != 1 {
		t.Errorf("everything was loaded %d times, want once: nothing was compacted", loads)
	}
}

// TestCompaction lets etcd compact what the engine has not seen. It reads
// everything again, and watches end, so that their clients list anew.
func TestCompaction(t *testing.T) {
	t.Parallel()
	var l *link
	f := newFleet(t, throughLink(&l))
	for i := range 3 {
		template := newConfigMap("shop", fmt.Sprintf("conf-%d", i), "0")
		f.put(template)
		f.put(newBinding("ConfigMap", "v1", template, "m1"))
	}
	before := f.list(&metainternalversion.ListOptions{}, "")
	w := f.watch(&metainternalversion.ListOptions{ResourceVersion: before.ResourceVersion}, "")

	l.cut()
	f.remove(newBinding("ConfigMap", "v1", newConfigMap("shop", "conf-0", "")))
	revision := f.put(newConfigMap("shop", "conf-1", "changed"))
	if _, err := f.client.Compact(t.Context(), revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatalf("compact: %v", err)
	}
	l.mend()

	ended := time.After(waitLong)
	for open := true; open; {
		select {
		case e, ok := <-w.ResultChan():
			if ok && e.Type != watch.Error && e.Type != watch.Bookmark {
				t.Fatalf("watch sends %s after history was lost", e.Type)
			}
			open = ok
		case <-ended:
			t.Fatal("watch goes on though history was lost")
		}
	}
	after := contents(f.list(&metainternalversion.ListOptions{}, ""))
	if _, there := after[memberNamespace("m1")+"/conf-0"]; there || len(after) != 2 {
		t.Errorf("works after the compaction are %v, want those of conf-1 and conf-2", after)
	}
	if after[memberNamespace("m1")+"/conf-1"] == contents(before)[memberNamespace("m1")+"/conf-1"] {
		t.Error("a change that was compacted away is missing")
	}
	stale := f.watch(&metainternalversion.ListOptions{ResourceVersion: before.ResourceVersion}, "")
	e := <-stale.ResultChan()
	if status, ok := e.Object.(*metav1.Status); !ok || status.Reason != metav1.StatusReasonExpired {
		t.Errorf("watch from before the compaction got %v, want 410 Expired", e)
	}
}

// TestRefusedWrites tries what only etcd could do.
func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.list(&metainternalversion.ListOptions{}, "")
	s := f.works.Storage.Storage
	key := "/work.fleet.dev/works/ns/name"
	for verb, err := range map[string]error{
		"create": s.Create(t.Context(), key, &work.Work{}, &work.Work{}, 0),
		"update": s.GuaranteedUpdate(t.Context(), key, &work.Work{}, true, nil, nil, nil),
		"delete": s.Delete(t.Context(), key, &work.Work{}, nil, nil, nil, storage.DeleteOptions{}),
	} {
		if !apierrors.IsMethodNotSupported(err) {
			t.Errorf("%s: %v, want 405", verb, err)
		}
	}
}

// TestFutureVersion asks for more than etcd has.
func TestFutureVersion(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.list(&metainternalversion.ListOptions{}, "")
	direct := f.engine.storage("/work.fleet.dev/works", f.works.NewFunc)
	future := fmt.Sprint(resourceVersionAfter(1 << 30))
	err := direct.GetList(t.Context(), "/work.fleet.dev/works", storage.ListOptions{
		ResourceVersion: future, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		Recursive: true, Predicate: storage.Everything,
	}, &work.WorkList{})
	if !storage.IsTooLargeResourceVersion(err) {
		t.Errorf("list at a version etcd has not reached: %v, want too large resource version", err)
	}
}

// TestUnreadableTemplate breaks a template in etcd: the work stays.
func TestUnreadableTemplate(t *testing.T) {
	t.Parallel()
	told := make(chan BindingErrors, 10)
	f := newFleet(t, withErrors(told))
	template := newConfigMap("shop", "conf", "0")
	f.put(template)
	b := newBinding("ConfigMap", "v1", template, "m1")
	f.put(b)
	before := f.list(&metainternalversion.ListOptions{}, "")

	key, _, _ := f.key(template)
	f.putRaw(key, "k8s:enc:garbage")
	errs := <-told
	if errs.Name != b.Name || errs.ByCluster[""] == nil {
		t.Errorf("told %+v, want that the template of %s cannot be read", errs, b.Name)
	}
	if after := f.list(&metainternalversion.ListOptions{}, ""); len(after.Items) != 1 || after.Items[0].ResourceVersion != before.Items[0].ResourceVersion {
		t.Errorf("works are %v, want the one of before", after.Items)
	}

	b.Spec.Clusters, b.Generation = nil, 2
	b.Spec.Tombstones = []workv1alpha1.Tombstone{{ClusterName: "m1", UID: template.UID}}
	f.put(b)
	if after := f.list(&metainternalversion.ListOptions{}, ""); len(after.Items) != 1 || !after.Items[0].Spec.Deleted {
		t.Errorf("works are %v, want the tombstone: it needs no template", after.Items)
	}

	f.put(template)
	if errs := <-told; len(errs.ByCluster) != 0 {
		t.Errorf("told %+v, want no errors any more", errs)
	}
	if _, failing := f.engine.Errors(types.NamespacedName{Namespace: "shop", Name: b.Name}); failing {
		t.Error("errors are remembered that are gone")
	}
}

func withErrors(told chan BindingErrors) fleetOption {
	return func(_ *fleet, options *Options) {
		options.OnErrors = func(_ context.Context, errs BindingErrors) { told <- errs }
	}
}

// TestFailingOverride lets one member fail: it keeps its work, others move on.
func TestFailingOverride(t *testing.T) {
	t.Parallel()
	told := make(chan BindingErrors, 10)
	f := newFleet(t, withErrors(told))
	template := newConfigMap("shop", "conf", "0")
	f.put(template)
	b := newBinding("ConfigMap", "v1", template, "m1", "m2")
	f.put(b)
	list := f.list(&metainternalversion.ListOptions{}, "")
	w := f.watch(&metainternalversion.ListOptions{ResourceVersion: list.ResourceVersion}, "")

	b.Generation++
	b.Spec.Overrides = []workv1alpha1.ResolvedOverride{{
		Policy: workv1alpha1.OverrideReference{Name: "bad"}, Clusters: []string{"m1"},
		Overriders: policyv1alpha1.Overriders{Plaintext: []policyv1alpha1.PlaintextOverrider{{Path: "/none/such", Operator: policyv1alpha1.OverriderOpRemove}}},
	}}
	f.put(b)
	expectEvents(t, w, event{watch.Modified, memberNamespace("m2"), "conf", false})
	errs := <-told
	if errs.ByCluster["m1"] == nil || errs.ByCluster["m2"] != nil || !strings.Contains(errs.ByCluster["m1"].Error(), "bad") {
		t.Errorf("told %v, want that override bad fails for m1", errs.ByCluster)
	}
	if got := contents(f.list(&metainternalversion.ListOptions{}, "")); got[memberNamespace("m1")+"/conf"] != contents(list)[memberNamespace("m1")+"/conf"] {
		t.Error("the work of the failing member changed")
	}
}

// TestCustomResources renders kinds that come later than their bindings, in the
// version of the binding.
func TestCustomResources(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	database := newCustomResource("example.com/v1", "Database", "shop", "main")
	f.put(database)
	b := newBinding("Database", "example.com/v2", database, "m1")
	f.put(b)
	list := f.list(&metainternalversion.ListOptions{}, "")
	if len(list.Items) != 0 {
		t.Fatalf("%d works of a kind that is not served", len(list.Items))
	}
	if errs, failing := f.engine.Errors(types.NamespacedName{Namespace: "shop", Name: b.Name}); !failing || !errors.Is(errs.ByCluster[""], errNotServed) {
		t.Errorf("errors are %v, want that the kind is not served", errs)
	}
	w := f.watch(&metainternalversion.ListOptions{ResourceVersion: list.ResourceVersion}, "")

	f.put(newDefinition("example.com", "databases", "Database", "v1"))
	first := expectEvents(t, w, event{watch.Added, memberNamespace("m1"), "main", false})
	expectManifest(t, first[0], `"apiVersion":"example.com/v1"`) // v2 is not served yet
	if got := first[0].Spec.Template.APIVersion; got != "example.com/v1" {
		t.Errorf("the work names version %q, want that of its manifest: syncers refuse another", got)
	}
	f.put(newDefinition("example.com", "databases", "Database", "v1", "v2"))
	second := expectEvents(t, w, event{watch.Modified, memberNamespace("m1"), "main", false})
	expectManifest(t, second[0], `"apiVersion":"example.com/v2"`)

	f.stop()
	f.start()
	after := f.list(&metainternalversion.ListOptions{}, "")
	if len(after.Items) != 1 {
		t.Fatalf("%d works after a restart, want 1", len(after.Items))
	}
	expectManifest(t, &after.Items[0], `"apiVersion":"example.com/v2"`)
}

// TestVersionsOfMembers renders for each member the version that the binding names.
func TestVersionsOfMembers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.put(newDefinition("example.com", "databases", "Database", "v1", "v2"))
	database := newCustomResource("example.com/v1", "Database", "shop", "main")
	f.put(database)
	b := newBinding("Database", "example.com/v2", database, "m1", "m2", "m3")
	b.Spec.Versions = []workv1alpha1.MemberVersion{{APIVersion: "example.com/v1", Clusters: []string{"m2"}}, {APIVersion: "no/such/version", Clusters: []string{"m3"}}}
	f.put(b)
	got := map[string]string{}
	list := f.list(&metainternalversion.ListOptions{}, "")
	for i := range list.Items {
		got[list.Items[i].Namespace] = list.Items[i].Spec.Template.APIVersion
		expectManifest(t, &list.Items[i], `"apiVersion":"`+list.Items[i].Spec.Template.APIVersion+`"`)
	}
	want := map[string]string{memberNamespace("m1"): "example.com/v2", memberNamespace("m2"): "example.com/v1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("versions of the works: -want, +got:\n%s", diff)
	}
	errs, _ := f.engine.Errors(types.NamespacedName{Namespace: "shop", Name: b.Name})
	if errs.ByCluster["m3"] == nil || len(errs.ByCluster) != 1 {
		t.Errorf("errors are %v, want one of m3 alone", errs.ByCluster)
	}
}

func expectManifest(t *testing.T, w *work.Work, part string) {
	t.Helper()
	if manifest := string(w.Spec.Workload.Manifests[0].Raw); !strings.Contains(manifest, part) {
		t.Errorf("manifest %s does not hold %s", manifest, part)
	}
}

// TestEncryption reads templates and bindings that are encrypted in etcd.
func TestEncryption(t *testing.T) {
	t.Parallel()
	f := newFleet(t, func(f *fleet, _ *Options) {
		block, err := aes.NewCipher([]byte("0123456789abcdef"))
		if err != nil {
			f.t.Fatalf("make cipher: %v", err)
		}
		transformer, err := aestransformer.NewGCMTransformer(block)
		if err != nil {
			f.t.Fatalf("make transformer: %v", err)
		}
		f.encrypt[schema.GroupResource{Resource: "configmaps"}] = transformer
		f.encrypt[bindingsResource] = transformer
	})
	template := newConfigMap("shop", "conf", "secret")
	f.put(template)
	f.put(newBinding("ConfigMap", "v1", template, "m1"))
	key, _, _ := f.key(template)
	response, err := f.client.Get(t.Context(), key)
	if err != nil || strings.Contains(string(response.Kvs[0].Value), "secret") {
		t.Fatalf("the test does not encrypt: %v", err)
	}
	list := f.list(&metainternalversion.ListOptions{}, "")
	if len(list.Items) != 1 {
		t.Fatalf("%d works, want 1", len(list.Items))
	}
	expectManifest(t, &list.Items[0], `"content":"secret"`)
}

// TestFleetID waits for the namespace whose uid is the id of the fleet.
func TestFleetID(t *testing.T) {
	t.Parallel()
	f := newFleet(t, func(_ *fleet, options *Options) { options.FleetID = "" })
	template := newConfigMap("shop", "conf", "0")
	f.put(template)
	f.put(newBinding("ConfigMap", "v1", template, "m1"))
	if err := f.engine.Ready(); !errors.Is(err, ErrNotReady) {
		t.Errorf("engine without fleet id: %v, want not ready", err)
	}
	f.put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "the-fleet"}})
	eventually(t, "engine is ready", func() bool { return f.engine.Ready() == nil })
	list := f.list(&metainternalversion.ListOptions{}, "")
	expectManifest(t, &list.Items[0], `"fleet.dev/managed-by":"the-fleet"`)
}

// TestClusterScoped renders templates without a namespace.
func TestClusterScoped(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	template := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", UID: "n1"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}}}
	f.put(template)
	b := &workv1alpha1.ClusterResourceBinding{ObjectMeta: metav1.ObjectMeta{Name: "shop-namespace", UID: "b1"}}
	b.Spec.Resource = workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: "shop", UID: "n1"}
	b.Spec.Clusters = []workv1alpha1.TargetCluster{{Name: "m1"}}
	f.put(b)
	ctx := genericapirequest.WithNamespace(t.Context(), memberNamespace("m1"))
	object, err := f.works.Get(ctx, workv1alpha1.WorkName("", "shop-namespace"), &metav1.GetOptions{})
	if err != nil {
		t.Fatalf("get work: %v", err)
	}
	expectManifest(t, object.(*work.Work), `"kind":"Namespace"`)
	if got, ok := f.engine.Get(memberNamespace("m1"), workv1alpha1.WorkName("", "shop-namespace")); !ok || got.Spec.Binding.Name != "shop-namespace" {
		t.Errorf("Engine.Get = %v, %t, want the work", got, ok)
	}
	want := []types.NamespacedName{{Name: "shop-namespace"}}
	if diff := cmp.Diff(want, f.engine.Bindings(memberNamespace("m1"))); diff != "" {
		t.Errorf("bindings of a member are those of the works in its namespace: -want +got:\n%s", diff)
	}
	if got := f.engine.Bindings(memberNamespace("m")); len(got) > 0 {
		t.Errorf("a member has none of another one whose name begins alike: got %v", got)
	}
}

// TestPanic lets decoding panic: the works stay and others are served.
func TestPanic(t *testing.T) {
	t.Parallel()
	told := make(chan BindingErrors, 10)
	broken := &panickingTransformer{Transformer: identity.NewEncryptCheckTransformer()}
	f := newFleet(t, withErrors(told), func(f *fleet, _ *Options) {
		f.encrypt[schema.GroupResource{Resource: "configmaps"}] = broken
	})
	template := newConfigMap("shop", "conf", "0")
	f.put(template)
	f.put(newBinding("ConfigMap", "v1", template, "m1"))
	f.list(&metainternalversion.ListOptions{}, "")
	broken.broken.Store(true)
	f.put(template)
	if errs := <-told; errs.ByCluster[""] == nil || !strings.Contains(errs.ByCluster[""].Error(), "panic") {
		t.Errorf("told %v, want a panic", errs.ByCluster)
	}
	if list := f.list(&metainternalversion.ListOptions{}, ""); len(list.Items) != 1 {
		t.Errorf("%d works, want the one of before", len(list.Items))
	}
	broken.broken.Store(false)
	f.put(template)
	if errs := <-told; len(errs.ByCluster) != 0 {
		t.Errorf("told %v, want none", errs.ByCluster)
	}
}

type panickingTransformer struct {
	value.Transformer
	broken atomic.Bool
}

func (p *panickingTransformer) TransformFromStorage(ctx context.Context, data []byte, valueContext value.Context) ([]byte, bool, error) {
	if p.broken.Load() {
		panic("broken")
	}
	return p.Transformer.TransformFromStorage(ctx, data, valueContext)
}
