// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/server/v3/embed"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"fleet.dev/fleet/pkg/apis/work"
	"fleet.dev/fleet/pkg/apis/work/install"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/feedback"
	"fleet.dev/fleet/pkg/registry/work/binding"
)

// registries returns the real registries of bindings, over a real etcd and a
// watch cache.
func registries(t *testing.T) (scheme *runtime.Scheme, namespaced, cluster *binding.Storage) {
	t.Helper()
	scheme = runtime.NewScheme()
	install.Install(scheme)
	config := storagebackend.NewDefaultConfig("/registry", serializer.NewCodecFactory(scheme).LegacyCodec(workv1alpha1.SchemeGroupVersion))
	config.Transport.ServerList = []string{startEtcd(t)}
	options := func(resource string) generic.RESTOptions {
		return generic.RESTOptions{
			StorageConfig:  config.ForResource(schema.GroupResource{Group: work.GroupName, Resource: resource}),
			Decorator:      genericregistry.StorageWithCacher(),
			ResourcePrefix: "/work.fleet.dev/" + resource,
		}
	}
	namespaced, err := binding.NewStorage(scheme, options("resourcebindings"))
	if err != nil {
		t.Fatal(err)
	}
	cluster, err = binding.NewClusterStorage(scheme, options("clusterresourcebindings"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(namespaced.Binding.Destroy)
	t.Cleanup(cluster.Binding.Destroy)
	return scheme, namespaced, cluster
}

// startEtcd returns the address of an etcd on a free port.
func startEtcd(t *testing.T) string {
	t.Helper()
	config := embed.NewConfig()
	config.Dir = t.TempDir()
	config.LogLevel = "panic"
	config.UnsafeNoFsync = true
	anyPort := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config.ListenClientUrls, config.ListenPeerUrls = []url.URL{anyPort}, []url.URL{anyPort}
	server, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	<-server.Server.ReadyNotify()
	return "http://" + server.Clients[0].Addr().String()
}

// create stores an object as if it was posted, defaults included.
func create(ctx context.Context, t *testing.T, scheme *runtime.Scheme, storage *binding.Storage, object runtime.Object) {
	t.Helper()
	scheme.Default(object)
	internal, err := scheme.ConvertToVersion(object, work.SchemeGroupVersion)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Binding.Create(ctx, internal, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestBindingsOverRegistries(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	scheme, namespaced, cluster := registries(t)
	bindings := feedback.NewBindings(scheme, namespaced.Feedback, cluster.Feedback)
	spec := func(namespace string) workv1alpha1.BindingSpec {
		return workv1alpha1.BindingSpec{
			Resource: workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "Thing", Namespace: namespace, Name: "x", UID: "u1"},
			Clusters: []workv1alpha1.TargetCluster{{Name: "a"}},
		}
	}
	inNamespace := genericapirequest.WithNamespace(ctx, "ns")
	create(inNamespace, t, scheme, namespaced, &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x-thing"}, Spec: spec("ns")})
	create(genericapirequest.WithNamespace(ctx, ""), t, scheme, cluster, &workv1alpha1.ClusterResourceBinding{ObjectMeta: metav1.ObjectMeta{Name: "x-thing"}, Spec: spec("")})

	for _, name := range []types.NamespacedName{{Namespace: "ns", Name: "x-thing"}, {Name: "x-thing"}} {
		stale, err := bindings.Get(ctx, name, true)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		updated, _ := stale.DeepCopyObject().(workv1alpha1.Binding)
		updated.GetSpec().Clusters = nil // not for feedback to decide
		updated.GetStatus().AggregatedStatus = []workv1alpha1.AggregatedStatusItem{{
			ClusterName: "a", TemplateUID: "u1", Applied: true, Health: workv1alpha1.ResourceHealthy,
			Status: &runtime.RawExtension{Raw: []byte(`{"a":"b","n":1}`)},
		}}
		stored, err := bindings.UpdateFeedback(ctx, updated)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(updated.GetStatus(), stored.GetStatus()); diff != "" {
			t.Errorf("%s: the status is stored as it was written: -want +got:\n%s", name, diff)
		}
		if len(stored.GetSpec().Clusters) != 1 {
			t.Errorf("%s: feedback does not decide: got %v", name, stored.GetSpec().Clusters)
		}
		read, err := bindings.Get(ctx, name, true)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(stored, read); diff != "" {
			t.Errorf("%s: -written +read:\n%s", name, diff)
		}
		if _, err := bindings.UpdateFeedback(ctx, stale); !apierrors.IsConflict(err) {
			t.Errorf("%s: a write from an old state meets a conflict: got %v", name, err)
		}
		if err := wait.PollUntilContextCancel(ctx, 5*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			cached, err := bindings.Get(ctx, name, false)
			return err == nil && cached.GetResourceVersion() == stored.GetResourceVersion(), nil
		}); err != nil {
			t.Errorf("%s: the watch cache has it sooner or later: got %v", name, err)
		}
	}
	if _, err := bindings.Get(ctx, types.NamespacedName{Namespace: "ns", Name: "none"}, true); !apierrors.IsNotFound(err) {
		t.Errorf("what is not there is not found: got %v", err)
	}
}

// TestIntakeOverRegistries confirms a tombstone and sees it removed, with nothing
// faked but the template.
func TestIntakeOverRegistries(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	scheme, namespaced, cluster := registries(t)
	inNamespace := genericapirequest.WithNamespace(ctx, "ns")
	decision := bindingOf("a", "b")
	decision.UID = ""
	create(inNamespace, t, scheme, namespaced, decision)
	leave := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		updated := old.DeepCopyObject().(*work.ResourceBinding)
		updated.Spec.Clusters, updated.Spec.Replicas = updated.Spec.Clusters[:1], 2
		return updated, nil
	})
	if _, _, err := namespaced.Binding.Update(inNamespace, web.Name, leave, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}

	templates := newEtcd()
	templates.putTemplate(deploymentOf(2))
	bindings := feedback.NewBindings(scheme, namespaced.Feedback, cluster.Feedback)
	intake, err := feedback.New(feedback.Options{
		Works: works(everyWork), Bindings: bindings, Templates: templateClient{&server{etcd: templates}}, Window: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- intake.Run(running) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	}()

	// An encoder may escape what another does not; that makes nothing new.
	said := ready(2)
	said.Status.Raw = []byte(`{"replicas": 2, "readyReplicas": 2, "conditions": [{"type": "X", "message": "<&>"}]}`)
	confirmed := buried("u1")
	confirmed.BindingGeneration = 2
	var version string
	for _, report := range []struct {
		member string
		item   workv1alpha1.FeedbackItem
		writes bool
	}{{"b", confirmed, true}, {"a", said, true}, {"a", said, false}} {
		results, err := intake.Accept(ctx, report.member, []workv1alpha1.FeedbackItem{report.item})
		if diff := cmp.Diff([]string{"Accepted"}, reasons(results)); err != nil || diff != "" {
			t.Fatalf("member %s: error %v, -want +got:\n%s", report.member, err, diff)
		}
		stored, err := bindings.Get(ctx, web, true)
		if err != nil {
			t.Fatal(err)
		}
		if wrote := stored.GetResourceVersion() != version; wrote != report.writes {
			t.Errorf("member %s: the binding was written: %t, want %t", report.member, wrote, report.writes)
		}
		version = stored.GetResourceVersion()
	}
	stored, err := bindings.Get(ctx, web, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.GetSpec().Tombstones) != 0 || len(stored.GetStatus().AggregatedStatus) != 1 {
		t.Errorf("the tombstone is gone and the report is there: got %v, %v", stored.GetSpec().Tombstones, stored.GetStatus().AggregatedStatus)
	}
}

func TestTemplatesOverClient(t *testing.T) {
	gvk := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(gvk, meta.RESTScopeNamespace)
	mapper.Add(schema.GroupVersionKind{Group: "example.org", Version: "v1", Kind: "Wide"}, meta.RESTScopeRoot)
	wide := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.org/v1", "kind": "Wide", "metadata": map[string]any{"name": "w"}}}
	client := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), deploymentOf(2), wide)
	templates := feedback.NewTemplates(client, mapper)
	reference := workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "ns", Name: "web"}

	template, err := templates.Get(t.Context(), reference, false)
	if err != nil {
		t.Fatal(err)
	}
	template.Object["status"] = map[string]any{"replicas": int64(2)}
	if _, err := templates.UpdateStatus(t.Context(), template); err != nil {
		t.Fatal(err)
	}
	if _, err := templates.Get(t.Context(), workv1alpha1.ObjectReference{APIVersion: "example.org/v1", Kind: "Wide", Name: "w"}, true); err != nil {
		t.Errorf("a cluster-scoped template has no namespace: got %v", err)
	}
	if _, err := templates.Get(t.Context(), workv1alpha1.ObjectReference{APIVersion: "none.org/v1", Kind: "None", Name: "n"}, true); !apierrors.IsNotFound(err) {
		t.Errorf("a kind that nobody serves is not found: got %v", err)
	}
	var did []string
	for _, action := range client.Actions() {
		step := action.GetVerb() + " " + action.GetSubresource()
		if get, ok := action.(clienttesting.GetActionImpl); ok {
			step += "at " + get.GetOptions.ResourceVersion
		}
		did = append(did, step)
	}
	if diff := cmp.Diff([]string{"get at 0", "update status", "get at "}, did); diff != "" {
		t.Errorf("reads may come from the watch cache, and only the status is written: -want +got:\n%s", diff)
	}
}
