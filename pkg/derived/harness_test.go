// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install" // templates
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // templates

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/work"
	workinstall "fleet.dev/fleet/pkg/apis/work/install"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const (
	testPrefix  = "/registry"
	testFleetID = "f0000000-0000-0000-0000-000000000001"
	waitLong    = 60 * time.Second
)

var (
	fleetScheme = func() *runtime.Scheme {
		scheme := runtime.NewScheme()
		metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
		workinstall.Install(scheme)
		return scheme
	}()
	fleetCodecs = serializer.NewCodecFactory(fleetScheme)
)

// storedKind is a kind the harness stores.
type storedKind struct {
	resource   schema.GroupResource
	codec      runtime.Codec
	newFunc    func() runtime.Object
	namespaced bool
}

var storedKinds = map[reflect.Type]storedKind{
	reflect.TypeFor[*appsv1.Deployment](): {
		schema.GroupResource{Group: "apps", Resource: "deployments"},
		legacyscheme.Codecs.LegacyCodec(appsv1.SchemeGroupVersion), func() runtime.Object { return &apps.Deployment{} }, true,
	},
	reflect.TypeFor[*corev1.Pod](): {
		schema.GroupResource{Resource: "pods"},
		legacyscheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), func() runtime.Object { return &core.Pod{} }, true,
	},
	reflect.TypeFor[*corev1.ConfigMap](): {
		schema.GroupResource{Resource: "configmaps"},
		legacyscheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), func() runtime.Object { return &core.ConfigMap{} }, true,
	},
	reflect.TypeFor[*corev1.Namespace](): {
		schema.GroupResource{Resource: "namespaces"},
		legacyscheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), func() runtime.Object { return &core.Namespace{} }, false,
	},
	reflect.TypeFor[*workv1alpha1.ResourceBinding](): {
		bindingsResource,
		fleetCodecs.LegacyCodec(workv1alpha1.SchemeGroupVersion), func() runtime.Object { return &work.ResourceBinding{} }, true,
	},
	reflect.TypeFor[*workv1alpha1.ClusterResourceBinding](): {
		clusterBindingsResource,
		fleetCodecs.LegacyCodec(workv1alpha1.SchemeGroupVersion), func() runtime.Object { return &work.ClusterResourceBinding{} }, false,
	},
	reflect.TypeFor[*apiextensions.CustomResourceDefinition](): {
		definitionsResource,
		apiextensionsserver.Codecs.LegacyCodec(schema.GroupVersion{Group: "apiextensions.k8s.io", Version: "v1"}),
		func() runtime.Object { return &apiextensions.CustomResourceDefinition{} }, false,
	},
}

// fleet is an etcd, an engine and a registry of works over it. What the API
// server would store is written to etcd directly.
type fleet struct {
	t       *testing.T
	client  *clientv3.Client // of etcd itself, whatever endpoint the engine uses
	config  storagebackend.Config
	encrypt map[schema.GroupResource]value.Transformer

	capture *Capture
	engine  *Engine
	works   *genericregistry.Store
	stop    func() // the engine, and wait
}

// fleetOption changes a fleet before it starts.
type fleetOption func(*fleet, *Options)

// newFleet starts a fleet on an etcd of its own.
func newFleet(t *testing.T, options ...fleetOption) *fleet {
	t.Helper()
	return newFleetOn(t, startEtcd(t), options...)
}

// newFleetOn starts a fleet on an etcd.
func newFleetOn(t *testing.T, client *clientv3.Client, options ...fleetOption) *fleet {
	t.Helper()
	f := &fleet{
		t:       t,
		client:  client,
		config:  *storagebackend.NewDefaultConfig(testPrefix, nil),
		encrypt: map[schema.GroupResource]value.Transformer{},
	}
	f.config.CompactionInterval = 0
	f.config.Transport.ServerList = client.Endpoints()
	f.start(options...)
	return f
}

// start installs the API and runs the engine, again after stop.
func (f *fleet) start(options ...fleetOption) {
	f.t.Helper()
	engineOptions := Options{FleetID: testFleetID}
	for _, option := range options {
		option(f, &engineOptions)
	}
	f.capture = NewCapture(legacyscheme.Scheme, apiextensionsserver.Scheme, fleetScheme)
	f.engine = NewEngine(f.capture, engineOptions)
	getter := f.capture.Wrap(f)
	f.capture.UseForCustomResources(f)
	for _, kind := range storedKinds {
		f.install(getter, kind)
	}
	f.works = newWorksStore(f.t, getter)
	f.run()
}

func (f *fleet) run() {
	ctx, cancel := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := f.engine.Run(ctx); err != nil {
			f.t.Errorf("run engine: %v", err)
		}
	})
	f.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		f.works.Destroy()
	})
	f.t.Cleanup(func() { f.stop() })
}

// GetRESTOptions implements generic.RESTOptionsGetter, for custom resources too.
func (f *fleet) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	config := f.config.ForResource(resource)
	config.Codec = unstructured.UnstructuredJSONScheme
	config.Transformer = f.encrypt[resource]
	for _, kind := range storedKinds {
		if kind.resource == resource {
			config.Codec = kind.codec
		}
	}
	if resource == worksResource {
		config.Codec = fleetCodecs.LegacyCodec(workv1alpha1.SchemeGroupVersion)
	}
	return generic.RESTOptions{
		StorageConfig:  config,
		Decorator:      noStorage,
		ResourcePrefix: resource.Group + "/" + resource.Resource,
	}, nil
}

// noStorage stands for the storage of stored kinds: tests write to etcd.
func noStorage(
	*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error),
	func() runtime.Object, func() runtime.Object, storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
) (storage.Interface, factory.DestroyFunc, error) {
	return nil, func() {}, nil
}

// install does what a registry does with the options of a resource.
func (f *fleet) install(getter generic.RESTOptionsGetter, kind storedKind) {
	f.t.Helper()
	options, err := getter.GetRESTOptions(kind.resource, kind.newFunc())
	if err != nil {
		f.t.Fatalf("get options of %s: %v", kind.resource, err)
	}
	prefix := "/" + options.ResourcePrefix
	keyFunc := func(object runtime.Object) (string, error) {
		accessor, err := meta.Accessor(object)
		if err != nil {
			return "", err
		}
		ctx := genericapirequest.WithNamespace(genericapirequest.NewContext(), accessor.GetNamespace())
		if kind.namespaced {
			return genericregistry.NamespaceKeyFunc(ctx, prefix, accessor.GetName())
		}
		return genericregistry.NoNamespaceKeyFunc(ctx, prefix, accessor.GetName())
	}
	if _, _, err := options.Decorator(options.StorageConfig, prefix, keyFunc, kind.newFunc, nil, nil, nil, nil); err != nil {
		f.t.Fatalf("install %s: %v", kind.resource, err)
	}
}

// key is where an object is stored.
func (f *fleet) key(object metav1.Object) (string, schema.GroupResource, runtime.Codec) {
	f.t.Helper()
	if custom, ok := object.(*unstructured.Unstructured); ok {
		plural, _ := meta.UnsafeGuessKindToResource(custom.GroupVersionKind())
		resource := plural.GroupResource()
		key := fmt.Sprintf("%s/%s/%s/%s/%s", testPrefix, resource.Group, resource.Resource, custom.GetNamespace(), custom.GetName())
		return key, resource, unstructured.UnstructuredJSONScheme
	}
	kind, ok := storedKinds[reflect.TypeOf(object)]
	if !ok {
		f.t.Fatalf("%T is not stored", object)
	}
	key := fmt.Sprintf("%s/%s/%s", testPrefix, kind.resource.Group, kind.resource.Resource)
	if kind.namespaced {
		key += "/" + object.GetNamespace()
	}
	return key + "/" + object.GetName(), kind.resource, kind.codec
}

// put stores an object and returns the revision.
func (f *fleet) put(object metav1.Object) int64 {
	f.t.Helper()
	key, resource, codec := f.key(object)
	data, err := runtime.Encode(codec, object.(runtime.Object).DeepCopyObject())
	if err != nil {
		f.t.Fatalf("encode %q: %v", key, err)
	}
	transformer := f.encrypt[resource]
	if transformer == nil {
		transformer = identity.NewEncryptCheckTransformer()
	}
	data, err = transformer.TransformToStorage(f.t.Context(), data, storageKey(key))
	if err != nil {
		f.t.Fatalf("encrypt %q: %v", key, err)
	}
	return f.putRaw(key, string(data))
}

func (f *fleet) putRaw(key, data string) int64 {
	f.t.Helper()
	response, err := f.client.Put(f.t.Context(), key, data)
	if err != nil {
		f.t.Fatalf("put %q: %v", key, err)
	}
	return response.Header.Revision
}

// remove deletes an object and returns the revision.
func (f *fleet) remove(object metav1.Object) int64 {
	f.t.Helper()
	key, _, _ := f.key(object)
	response, err := f.client.Delete(f.t.Context(), key)
	if err != nil {
		f.t.Fatalf("delete %q: %v", key, err)
	}
	return response.Header.Revision
}

// list lists works consistently.
func (f *fleet) list(options *metainternalversion.ListOptions, namespace string) *work.WorkList {
	f.t.Helper()
	list, err := f.tryList(options, namespace)
	if err != nil {
		f.t.Fatalf("list works: %v", err)
	}
	return list
}

// tryList lists works. A Cacher that lists anew after its history was lost asks
// to try again, as API clients do.
func (f *fleet) tryList(options *metainternalversion.ListOptions, namespace string) (*work.WorkList, error) {
	ctx := genericapirequest.WithNamespace(f.t.Context(), namespace)
	deadline := time.Now().Add(waitLong)
	for {
		list, err := f.works.List(ctx, options)
		if err == nil {
			return list.(*work.WorkList), nil
		}
		if !apierrors.IsTooManyRequests(err) || time.Now().After(deadline) {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// watch watches works.
func (f *fleet) watch(options *metainternalversion.ListOptions, namespace string) watch.Interface {
	f.t.Helper()
	w, err := f.tryWatch(options, namespace)
	if err != nil {
		f.t.Fatalf("watch works: %v", err)
	}
	f.t.Cleanup(w.Stop)
	return w
}

func (f *fleet) tryWatch(options *metainternalversion.ListOptions, namespace string) (watch.Interface, error) {
	options.Watch = true
	options.AllowWatchBookmarks = true
	ctx := genericapirequest.WithNamespace(f.t.Context(), namespace)
	deadline := time.Now().Add(waitLong)
	for {
		w, err := f.works.Watch(ctx, options)
		if !apierrors.IsTooManyRequests(err) || time.Now().After(deadline) {
			return w, err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// next returns the next event that is no bookmark.
func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	timeout := time.After(waitLong)
	for {
		select {
		case event, ok := <-w.ResultChan():
			if !ok {
				t.Fatal("watch ended")
			}
			if event.Type != watch.Bookmark {
				return event
			}
		case <-timeout:
			t.Fatal("no event")
		}
	}
}

// workOf unwraps the work of an event: the Cacher wraps objects to share
// encodings.
func workOf(t *testing.T, event watch.Event) *work.Work {
	t.Helper()
	object := event.Object
	if cached, ok := object.(runtime.CacheableObject); ok {
		object = cached.GetObject()
	}
	found, ok := object.(*work.Work)
	if !ok {
		t.Fatalf("event %s holds %T: %v", event.Type, object, object)
	}
	return found
}

func resourceVersionOf(t *testing.T, object metav1.Common) uint64 {
	t.Helper()
	parsed, err := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	if err != nil {
		t.Fatalf("resource version: %v", err)
	}
	return parsed
}

// newWorksStore is a registry of works that is as good as the real one for
// reading.
func newWorksStore(t *testing.T, getter generic.RESTOptionsGetter) *genericregistry.Store {
	t.Helper()
	strategy := readOnly{ObjectTyper: fleetScheme, NameGenerator: names.SimpleNameGenerator}
	store := &genericregistry.Store{
		NewFunc:                   func() runtime.Object { return &work.Work{} },
		NewListFunc:               func() runtime.Object { return &work.WorkList{} },
		DefaultQualifiedResource:  worksResource,
		SingularQualifiedResource: workv1alpha1.Resource("work"),
		CreateStrategy:            strategy,
		DeleteStrategy:            strategy,
		TableConvertor:            rest.NewDefaultTableConvertor(worksResource),
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter}); err != nil {
		t.Fatalf("make storage of works: %v", err)
	}
	return store
}

type readOnly struct {
	runtime.ObjectTyper
	names.NameGenerator
	rest.RESTCreateStrategy
}

func (readOnly) NamespaceScoped() bool             { return true }
func (r readOnly) GenerateName(base string) string { return r.NameGenerator.GenerateName(base) }
func (r readOnly) Recognizes(kind schema.GroupVersionKind) bool {
	return r.ObjectTyper.Recognizes(kind)
}

func (r readOnly) ObjectKinds(o runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	return r.ObjectTyper.ObjectKinds(o)
}

// Builders.

func newDeployment(namespace, name string, replicas int32) *appsv1.Deployment {
	podLabels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + namespace + "-" + name), Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: podLabels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: podLabels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "nginx:1"}}},
			},
		},
	}
}

func newConfigMap(namespace, name, content string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + namespace + "-" + name)},
		Data:       map[string]string{"content": content},
	}
}

// newBinding binds a template to members.
func newBinding(kind, apiVersion string, template metav1.Object, members ...string) *workv1alpha1.ResourceBinding {
	name := workv1alpha1.BindingName(kind, template.GetName())
	b := &workv1alpha1.ResourceBinding{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: template.GetNamespace(), Name: name, Generation: 1,
			UID: types.UID("uid-" + template.GetNamespace() + "-" + name),
		},
		Spec: workv1alpha1.BindingSpec{Resource: workv1alpha1.ObjectReference{
			APIVersion: apiVersion, Kind: kind, Namespace: template.GetNamespace(), Name: template.GetName(), UID: template.GetUID(),
		}},
	}
	for _, member := range members {
		b.Spec.Clusters = append(b.Spec.Clusters, workv1alpha1.TargetCluster{Name: member})
	}
	return b
}

func memberNamespace(member string) string { return clusterv1alpha1.MemberNamespace(member) }

func selector(t *testing.T, text string) labels.Selector {
	t.Helper()
	parsed, err := labels.Parse(text)
	if err != nil {
		t.Fatalf("parse selector: %v", err)
	}
	return parsed
}

func newCustomResource(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"size": int64(1)}}}
	object.SetAPIVersion(apiVersion)
	object.SetKind(kind)
	object.SetNamespace(namespace)
	object.SetName(name)
	object.SetUID(types.UID("uid-" + name))
	return object
}

func newDefinition(group, plural, kind string, versions ...string) *apiextensions.CustomResourceDefinition {
	crd := &apiextensions.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: plural + "." + group},
		Spec: apiextensions.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensions.NamespaceScoped,
			Names: apiextensions.CustomResourceDefinitionNames{Plural: plural, Kind: kind},
		},
		Status: apiextensions.CustomResourceDefinitionStatus{
			AcceptedNames: apiextensions.CustomResourceDefinitionNames{Plural: plural, Kind: kind},
		},
	}
	for i, version := range versions {
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensions.CustomResourceDefinitionVersion{
			Name: version, Served: true, Storage: i == 0,
			Schema: &apiextensions.CustomResourceValidation{OpenAPIV3Schema: &apiextensions.JSONSchemaProps{Type: "object"}},
		})
	}
	return crd
}
