// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/metadata"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/utils/clock"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/interpreter/store"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// fakeDiscovery serves what it is told.
type fakeDiscovery struct {
	discovery.ServerResourcesInterface
	mu    sync.Mutex
	lists []*metav1.APIResourceList
	older []*metav1.APIResourceList
	err   error
}

func (f *fakeDiscovery) ServerGroupsAndResources() ([]*metav1.APIGroup, []*metav1.APIResourceList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var groups []*metav1.APIGroup
	for _, list := range f.lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, nil, err
		}
		groups = append(groups, &metav1.APIGroup{Name: version.Group, PreferredVersion: metav1.GroupVersionForDiscovery{Version: version.Version}})
	}
	return groups, slices.Concat(f.older, f.lists), f.err
}

func (f *fakeDiscovery) serve(err error, lists ...*metav1.APIResourceList) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists, f.err = lists, err
}

// told records what a handler is told.
type told struct {
	mu     sync.Mutex
	events []string
}

func (r *told) OnTemplate(before, after *template.Template) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case before == nil:
		r.events = append(r.events, "added "+after.Key().String())
	case after == nil:
		r.events = append(r.events, "deleted "+before.Key().String())
	default:
		r.events = append(r.events, "changed "+after.Key().String())
	}
}

func (r *told) OnListed(kind schema.GroupKind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, "listed "+kind.String())
}

func (r *told) OnUnserved(kind schema.GroupKind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, "unserved "+kind.String())
}

func (r *told) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.events
	r.events = nil
	slices.Sort(out)
	return out
}

var allVerbs = metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"}

func resources(groupVersion string, list ...metav1.APIResource) *metav1.APIResourceList {
	for i := range list {
		if list[i].Verbs == nil {
			list[i].Verbs = allVerbs
		}
	}
	return &metav1.APIResourceList{GroupVersion: groupVersion, APIResources: list}
}

var (
	core = resources("v1",
		metav1.APIResource{Name: "configmaps", Kind: "ConfigMap", Namespaced: true},
		metav1.APIResource{Name: "nodes", Kind: "Node"},
		metav1.APIResource{Name: "bindings", Kind: "Binding", Namespaced: true, Verbs: metav1.Verbs{"create"}},
	)
	extensions = resources("apiextensions.k8s.io/v1", metav1.APIResource{Name: "customresourcedefinitions", Kind: "CustomResourceDefinition"})
	widgets    = resources("example.com/v1", metav1.APIResource{Name: "widgets", Kind: "Widget", Namespaced: true})
)

func object(apiVersion, kind, namespace, name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
}

type fixture struct {
	*Source
	discovery *fakeDiscovery
	metadata  metadata.Interface
	told      *told
}

// run runs a Source over a fleet in memory, in a bubble of time.
func run(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		scheme := metadatafake.NewTestScheme()
		if err := metav1.AddMetaToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		f := &fixture{
			discovery: &fakeDiscovery{},
			metadata:  metadatafake.NewSimpleMetadataClient(scheme, object("v1", "ConfigMap", "shop", "config"), object("v1", "ConfigMap", "other", "config")),
			told:      &told{},
		}
		f.discovery.serve(nil, core, extensions)
		f.Source = &Source{
			discovery: f.discovery,
			metadata:  f.metadata,
			dynamic:   dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds),
			handler:   f.told,
			clock:     clock.RealClock{},
			trigger:   make(chan struct{}, 1),
			kinds:     map[schema.GroupKind]*watched{},
			defined:   map[schema.GroupKind]bool{},
		}
		ctx, stop := context.WithCancel(t.Context())
		started := make(chan struct{})
		var running sync.WaitGroup
		running.Go(func() { f.Run(ctx, func() { close(started) }) })
		<-started
		synctest.Wait()
		test(t, f)
		stop()
		running.Wait()
	})
}

var listKinds = map[schema.GroupVersionResource]string{
	{Group: "example.com", Version: "v1", Resource: "widgets"}: "WidgetList",
	definitions: "CustomResourceDefinitionList",
	apiServices: "APIServiceList",
}

func settled(f *fixture) []string {
	time.Sleep(time.Minute)
	synctest.Wait()
	return f.told.take()
}

func TestWatchesWhatIsServed(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		t.Helper()
		want := []string{
			"added ConfigMap other/config",
			"added ConfigMap shop/config",
			"listed ConfigMap",
			"listed CustomResourceDefinition.apiextensions.k8s.io",
		}
		if diff := cmp.Diff(want, settled(f)); diff != "" {
			t.Errorf("at the start: -want, +got:\n%s", diff)
		}
		if _, watched := f.Kind(schema.GroupKind{Kind: "Node"}); watched {
			t.Error("a kind that stays in the fleet is watched")
		}

		f.discovery.serve(nil, core, extensions, widgets)
		f.Discover()
		if diff := cmp.Diff([]string{"listed Widget.example.com"}, settled(f)); diff != "" {
			t.Errorf("a kind that comes: -want, +got:\n%s", diff)
		}
		kind, _ := f.Kind(schema.GroupKind{Group: "example.com", Kind: "Widget"})
		if !kind.Custom || kind.Definition().Name != "widgets.example.com" {
			t.Errorf("Kind(...): want a custom one of widgets.example.com, got %+v", kind)
		}

		f.discovery.older = []*metav1.APIResourceList{
			resources("example.com/v1beta1", metav1.APIResource{Name: "widgets", Kind: "Widget", Namespaced: true}, metav1.APIResource{Name: "widgets/status", Kind: "Widget"}),
			resources("example.com/v1beta2", metav1.APIResource{Name: "widgets", Kind: "Widget", Namespaced: true}),
		}
		f.Discover()
		settled(f)
		kind, _ = f.Kind(schema.GroupKind{Group: "example.com", Kind: "Widget"})
		if diff := cmp.Diff([]string{"v1beta2", "v1beta1"}, kind.Versions); diff != "" {
			t.Errorf("versions that come: -want, +got:\n%s", diff)
		}

		if kind.Version.Version != "v1" {
			t.Errorf("the kind is read in %s, want the version its group prefers", kind.Version.Version)
		}

		f.discovery.older = f.discovery.older[:1]
		f.discovery.serve(&discovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{{Group: "example.com", Version: "v1beta2"}: errors.New("down")}}, core, extensions, widgets)
		f.Discover()
		if got := settled(f); len(got) > 0 {
			t.Errorf("a version that cannot be discovered has nothing read anew, got %v", got)
		}
		if kind, _ = f.Kind(schema.GroupKind{Group: "example.com", Kind: "Widget"}); len(kind.Versions) != 2 {
			t.Errorf("versions while one cannot be discovered: want the two known, got %v", kind.Versions)
		}

		f.discovery.older = nil
		f.discovery.serve(nil, core, extensions)
		f.Discover()
		settled(f)
		if _, watched := f.Kind(schema.GroupKind{Group: "example.com", Kind: "Widget"}); watched {
			t.Error("a kind that is gone is watched")
		}
	})
}

// interpretations hold customizations as a store does.
type interpretations struct {
	current  *interpreter.Interpreter
	listener store.Listener
}

func (i *interpretations) Interpreter() *interpreter.Interpreter { return i.current }

func (i *interpretations) Listen(listener store.Listener) { i.listener = listener }

func (i *interpretations) answer(replicas string) {
	i.current = interpreter.New([]*configv1alpha1.ResourceInterpreterCustomization{{Spec: configv1alpha1.ResourceInterpreterCustomizationSpec{
		Target:         configv1alpha1.CustomizationTarget{APIVersion: "example.com/v1", Kind: "Widget"},
		Customizations: configv1alpha1.CustomizationRules{ReplicaResource: &configv1alpha1.CustomizationRule{Expression: replicas}},
	}}}, nil)
}

func TestReadsByCustomizations(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		t.Helper()
		widget := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"name": "a", "namespace": "shop"},
			"spec": map[string]any{"size": int64(3)},
		}}
		key := template.Key{Group: "example.com", Kind: "Widget", Namespace: "shop", Name: "a"}
		f.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds, widget)
		by := &interpretations{}
		f.interpretations = by
		f.discovery.serve(nil, core, extensions, widgets)
		settled(f)
		steps := []struct {
			reason   string
			replicas string
			pods     int32
			told     []string
		}{
			{reason: "The whole object is read.", replicas: `Replicas{replicas: object.spec.size}`, pods: 3, told: []string{"added " + key.String(), "listed Widget.example.com"}},
			{reason: "The same rule reads nothing anew.", replicas: `Replicas{replicas: object.spec.size}`, pods: 3},
			{reason: "Another one does, objects of this kind and no others.", replicas: `Replicas{replicas: 2 * object.spec.size}`, pods: 6, told: []string{"added " + key.String(), "listed Widget.example.com"}},
		}
		for _, step := range steps {
			by.answer(step.replicas)
			f.Discover()
			if diff := cmp.Diff(step.told, settled(f)); diff != "" {
				t.Errorf("%s: -want, +got:\n%s", step.reason, diff)
			}
			if got := f.Get(key); got == nil || got.Workload == nil || got.Workload.Pods != step.pods {
				t.Errorf("%s: want %d pods, got %+v", step.reason, step.pods, got)
			}
		}
		kind, _ := f.Kind(key.GroupKind())
		read, err := Read(KindOf(kind.Version, kind.Resource, true).Interpreted(by.current), widget)
		if err != nil || read.Workload.Pods != 6 {
			t.Errorf("Read(...): %+v, %v", read, err)
		}
	})
}

func TestFailedGroupsAreKept(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		t.Helper()
		f.discovery.serve(nil, core, extensions, widgets)
		f.Discover()
		settled(f)
		f.discovery.serve(&discovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{{Group: "example.com", Version: "v1"}: errors.New("down")}}, core, extensions)
		f.Discover()
		settled(f)
		if !f.Listed(schema.GroupKind{Group: "example.com", Kind: "Widget"}) {
			t.Error("a group whose discovery failed is not watched any more")
		}
	})
}

func TestDefinitionIsFollowedUntilServed(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		t.Helper()
		settled(f)
		definition := object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.example.com")
		if _, err := fakeOf(f, definitions, "").CreateFake(definition, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		f.discovery.serve(nil, core, extensions, widgets)
		events := settled(f)
		if !slices.Contains(events, "listed Widget.example.com") {
			t.Errorf("nobody had to ask for another look: got %v", events)
		}
	})
}

// Who deletes a definition deletes all its objects. Whoever takes away an aggregated
// API server deletes nothing.
func TestTellsOfKindsThatGoWithTheirDefinition(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		defined bool
		want    []string
	}{
		"Defined":    {reason: "Its templates are gone, even if no event said so.", defined: true, want: []string{"deleted CustomResourceDefinition.apiextensions.k8s.io widgets.example.com", "unserved Widget.example.com"}},
		"Aggregated": {reason: "Its templates exist somewhere."},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, f *fixture) {
				t.Helper()
				settled(f)
				definitions := fakeOf(f, definitions, "")
				if tc.defined {
					if _, err := definitions.CreateFake(object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "widgets.example.com"), metav1.CreateOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				f.discovery.serve(nil, core, extensions, widgets)
				f.Discover()
				settled(f)
				f.discovery.serve(nil, core, extensions)
				if tc.defined {
					if err := definitions.Delete(t.Context(), "widgets.example.com", metav1.DeleteOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				f.Discover()
				if diff := cmp.Diff(tc.want, settled(f)); diff != "" {
					t.Errorf("\n%s\n-want, +got:\n%s", tc.reason, diff)
				}
			})
		})
	}
}

func TestLookups(t *testing.T) {
	run(t, func(t *testing.T, f *fixture) {
		t.Helper()
		settled(f)
		key := template.Key{Kind: "ConfigMap", Namespace: "shop", Name: "config"}
		if got := f.Get(key); got == nil || got.Key() != key {
			t.Errorf("Get(%s): got %+v", key, got)
		}
		if got := f.InNamespace("shop"); len(got) != 1 || got[0].Key() != key {
			t.Errorf("InNamespace(shop): got %v", got)
		}
		cases := map[string]struct {
			selector policy.Selector
			want     int
		}{
			"Any":       {selector: policy.Selector{Group: policy.Any, Kind: policy.Any}, want: 2},
			"Kind":      {selector: policy.Selector{Kind: "ConfigMap"}, want: 2},
			"Namespace": {selector: policy.Selector{Kind: "ConfigMap", Namespace: "shop"}, want: 1},
			"Name":      {selector: policy.Selector{Kind: "ConfigMap", Namespace: "shop", Name: "config"}, want: 1},
			"AnyName":   {selector: policy.Selector{Kind: "ConfigMap", Name: "config"}, want: 2},
			"OtherName": {selector: policy.Selector{Kind: "ConfigMap", Namespace: "shop", Name: "x"}},
			"OtherKind": {selector: policy.Selector{Kind: "Secret"}},
		}
		for name, tc := range cases {
			if got := f.Matching([]policy.Selector{tc.selector}); len(got) != tc.want {
				t.Errorf("%s: Matching(...): want %d, got %v", name, tc.want, got)
			}
		}
	})
}

func TestLive(t *testing.T) {
	crd := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "gadgets.example.com"},
		"spec": map[string]any{"group": "example.com", "names": map[string]any{"kind": "Gadget"}},
	}}
	aggregated := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1.aggregated.com"},
		"spec": map[string]any{"group": "aggregated.com", "version": "v1", "service": map[string]any{"name": "x"}},
	}}
	cases := map[string]struct {
		reason   string
		key      template.Key
		seen     bool   // a definition of the kind
		placed   string // a definition that has a binding
		notFound bool
		err      error
	}{
		"There":      {reason: "It is there.", key: template.Key{Kind: "ConfigMap", Namespace: "shop", Name: "config"}},
		"Gone":       {reason: "Its kind is served and it is not there.", key: template.Key{Kind: "ConfigMap", Namespace: "shop", Name: "x"}, notFound: true},
		"Undefined":  {reason: "Nothing defines its kind any more.", seen: true, key: template.Key{Group: "example.com", Kind: "Widget", Namespace: "shop", Name: "x"}, notFound: true},
		"Placed":     {reason: "The definition of its kind is being removed from members.", placed: "widgets.example.com", key: template.Key{Group: "example.com", Kind: "Widget", Namespace: "shop", Name: "x"}, notFound: true},
		"Unknown":    {reason: "Nobody knows that a definition defined its kind.", placed: "others.example.com", key: template.Key{Group: "example.com", Kind: "Widget", Namespace: "shop", Name: "x"}, err: ErrNotServed},
		"Defined":    {reason: "Its kind is defined and not served yet.", seen: true, key: template.Key{Group: "example.com", Kind: "Gadget", Namespace: "shop", Name: "x"}, err: ErrNotServed},
		"Aggregated": {reason: "Somebody else serves its kind.", seen: true, key: template.Key{Group: "aggregated.com", Kind: "Thing", Namespace: "shop", Name: "x"}, err: ErrNotServed},
		"Native":     {reason: "A kind of the fleet itself that it does not serve now.", key: template.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "x"}, err: ErrNotServed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, f *fixture) {
				t.Helper()
				f.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), listKinds, crd, aggregated)
				f.defined[tc.key.GroupKind()] = tc.seen
				f.placed = func(key template.Key) bool { return IsDefinition(key) && key.Name == tc.placed }
				_, err := f.Live(t.Context(), tc.key)
				if tc.notFound != apierrors.IsNotFound(err) || tc.err != nil && !errors.Is(err, tc.err) || !tc.notFound && tc.err == nil && err != nil {
					t.Errorf("\n%s\nLive(...): want not found %v or %v, got %v", tc.reason, tc.notFound, tc.err, err)
				}
			})
		})
	}
}

// TestAggregated: what another API server keeps is no template.
func TestAggregated(t *testing.T) {
	widget := schema.GroupKind{Group: "example.com", Kind: "Widget"}
	cases := map[string]struct {
		reason string
		labels map[string]string
		want   bool
	}{
		"Aggregated": {reason: "Another API server serves it."},
		"Own":        {reason: "The fleet serves it.", labels: map[string]string{automanaged: "true"}, want: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, f *fixture) {
				t.Helper()
				f.discovery.serve(nil, core, extensions, widgets)
				f.Discover()
				settled(f)
				if _, watched := f.Kind(widget); !watched {
					t.Error("a kind of which no APIService is known is not watched")
				}
				service := object("apiregistration.k8s.io/v1", "APIService", "", "v1.example.com")
				service.Labels = tc.labels
				if _, err := fakeOf(f, apiServices, "").CreateFake(service, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				told := settled(f)
				if _, watched := f.Kind(widget); watched != tc.want {
					t.Errorf("\n%s\nKind(...): want watched %v, got %v, told %v", tc.reason, tc.want, watched, told)
				}
			})
		})
	}
}

func fakeOf(f *fixture, resource schema.GroupVersionResource, namespace string) metadatafake.MetadataClient {
	return f.metadata.Resource(resource).Namespace(namespace).(metadatafake.MetadataClient)
}

func TestNativeVersions(t *testing.T) {
	kind := KindOf(schema.GroupVersionKind{Group: "storage.k8s.io", Version: "v1", Kind: "VolumeAttributesClass"},
		schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "volumeattributesclasses"}, false)
	if diff := cmp.Diff([]string{"v1beta1", "v1alpha1"}, kind.Versions); diff != "" {
		t.Errorf("versions of a native kind, the best first: -want, +got:\n%s", diff)
	}
}
