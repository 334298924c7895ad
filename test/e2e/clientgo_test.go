// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	appsv1apply "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// TestInformers follows a Deployment and its binding with typed informers, from
// before they exist until they are gone.
func TestInformers(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	native := informers.NewSharedInformerFactoryWithOptions(s.kube, 0, informers.WithNamespace(s.namespace))
	own := fleetinformers.NewSharedInformerFactoryWithOptions(fleetAPI(t), 0, fleetinformers.WithNamespace(s.namespace))
	deployments := native.Apps().V1().Deployments()
	bindings := own.Work().V1alpha1().ResourceBindings()
	var added, updated, deleted atomic.Int32
	if _, err := deployments.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { added.Add(1) },
		UpdateFunc: func(any, any) { updated.Add(1) },
		DeleteFunc: func(any) { deleted.Add(1) },
	}); err != nil {
		t.Fatal(err)
	}
	bindingLister := bindings.Lister()
	native.Start(t.Context().Done())
	own.Start(t.Context().Done())
	if !cache.WaitForCacheSync(t.Context().Done(), deployments.Informer().HasSynced, bindings.Informer().HasSynced) {
		t.Fatal("the informers never synced")
	}

	if err := createDeployment(t.Context(), s.kube, s.namespace, "web"); err != nil {
		t.Fatal(err)
	}
	binding := workv1alpha1.BindingName("Deployment", "web")
	eventually(t, propagation, "the informers to see the deployment run", func(context.Context) error {
		d, err := deployments.Lister().Deployments(s.namespace).Get("web")
		if err != nil {
			return err
		}
		b, err := bindingLister.ResourceBindings(s.namespace).Get(binding)
		if err != nil {
			return err
		}
		if d.Status.AvailableReplicas != 1 || len(b.Status.AggregatedStatus) != 1 {
			return fmt.Errorf("deployment status %v, binding status %v", d.Status, b.Status)
		}
		return nil
	})
	if err := s.kube.AppsV1().Deployments(s.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, propagation, "the informers to see both go", func(context.Context) error {
		if _, err := bindingLister.ResourceBindings(s.namespace).Get(binding); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the binding is there (%w)", err)
		}
		if added.Load() != 1 || updated.Load() == 0 || deleted.Load() != 1 {
			return fmt.Errorf("%d added, %d updated, %d deleted", added.Load(), updated.Load(), deleted.Load())
		}
		return nil
	})
}

// TestRetryOnConflict lets clients count up the same annotation; none is lost.
func TestRetryOnConflict(t *testing.T) {
	t.Parallel()
	const clients, increments, key = 6, 5, "example.com/count"
	s := newSpace(t)
	if err := createDeployment(t.Context(), s.kube, s.namespace, "web"); err != nil {
		t.Fatal(err)
	}
	deployments := s.kube.AppsV1().Deployments(s.namespace)
	backoff := retry.DefaultBackoff
	backoff.Steps = 50
	var conflicts atomic.Int32
	errs := make([]error, clients)
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for range increments {
				errs[i] = retry.RetryOnConflict(backoff, func() error {
					d, err := deployments.Get(t.Context(), "web", metav1.GetOptions{})
					if err != nil {
						return err
					}
					n, _ := strconv.Atoi(d.Annotations[key]) // absent is 0
					metav1.SetMetaDataAnnotation(&d.ObjectMeta, key, strconv.Itoa(n+1))
					_, err = deployments.Update(t.Context(), d, metav1.UpdateOptions{})
					if apierrors.IsConflict(err) {
						conflicts.Add(1)
					}
					return err
				})
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := deployments.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Annotations[key] != strconv.Itoa(clients*increments) {
		t.Errorf("count after %d increments with %d conflicts: %s", clients*increments, conflicts.Load(), d.Annotations[key])
	}
}

// TestLeaderElection elects one of two candidates, then the other when the first
// steps down.
func TestLeaderElection(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	leaders := make(chan string, 2)
	candidate := func(_ context.Context, name string) *leaderelection.LeaderElector {
		t.Helper()
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Name: "leader", Namespace: s.namespace},
				Client:     s.kube.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: name},
			},
			LeaseDuration: 10 * time.Second, RenewDeadline: 8 * time.Second, RetryPeriod: 500 * time.Millisecond,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { leaders <- name },
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return elector
	}
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-leaders:
			if got != want {
				t.Fatalf("leader: want %s, got %s", want, got)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s did not become leader", want)
		}
	}
	var group sync.WaitGroup
	defer group.Wait()
	first, stopFirst := context.WithCancel(t.Context())
	defer stopFirst()
	second, stopSecond := context.WithCancel(t.Context())
	defer stopSecond()

	one := candidate(first, "one")
	group.Go(func() { one.Run(first) })
	expect("one")
	two := candidate(second, "two")
	group.Go(func() { two.Run(second) })
	eventually(t, 10*time.Second, "the second candidate to see the leader", func(context.Context) error {
		if leader := two.GetLeader(); leader != "one" {
			return fmt.Errorf("it sees %q", leader)
		}
		return nil
	})
	stopFirst()
	expect("two")
}

// TestDynamic defines a kind, finds it by discovery and follows one object of it
// with the dynamic client.
func TestDynamic(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	client, err := dynamic.NewForConfig(s.config)
	if err != nil {
		t.Fatal(err)
	}
	kind := defineGadget(t, s, client)
	resource := restMapping(t, s, kind)

	gadgets := client.Resource(resource).Namespace(s.namespace)
	watcher, err := gadgets.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kind.GroupVersion().String(), "kind": kind.Kind,
		"metadata": map[string]any{"name": "one"}, "spec": map[string]any{"size": int64(3)},
	}}
	if _, err := gadgets.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case event := <-watcher.ResultChan():
		if got, ok := event.Object.(*unstructured.Unstructured); event.Type != watch.Added || !ok || got.GetName() != "one" {
			t.Errorf("first event: want gadget one added, got %v", event)
		}
	case <-time.After(30 * time.Second):
		t.Error("the watch did not see the new object")
	}
	object.Object["spec"] = map[string]any{"size": "three"}
	if _, err := gadgets.Update(t.Context(), object, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		t.Errorf("an object that its schema refuses: want Invalid, got %v", err)
	}
}

// defineGadget defines a kind of the test's own and waits until it is served.
func defineGadget(t *testing.T, s *space, client dynamic.Interface) schema.GroupVersionKind {
	t.Helper()
	kind := schema.GroupVersionKind{Group: s.namespace + ".example.com", Version: "v1", Kind: "Gadget"}
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	name := "gadgets." + kind.Group
	_, err := definitions.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"group": kind.Group, "scope": "Namespaced",
			"names": map[string]any{"kind": "Gadget", "listKind": "GadgetList", "plural": "gadgets", "singular": "gadget"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{
					"spec": map[string]any{"type": "object", "properties": map[string]any{"size": map[string]any{"type": "integer"}}},
				}}},
			}},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := definitions.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	s.kubectl(t, "wait", "--for=condition=Established", "crd/"+name, "--timeout=30s")
	return kind
}

// restMapping finds the resource of a kind the way controllers do.
func restMapping(t *testing.T, s *space, kind schema.GroupVersionKind) schema.GroupVersionResource {
	t.Helper()
	var mapping *meta.RESTMapping
	eventually(t, 30*time.Second, "discovery to know the new kind", func(context.Context) error {
		mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.kube.Discovery()))
		var err error
		mapping, err = mapper.RESTMapping(kind.GroupKind(), kind.Version)
		return err
	})
	return mapping.Resource
}

// TestDiscovery finds native and fleet kinds in one discovery, without an error.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	kube, err := fleetKube()
	if err != nil {
		t.Fatal(err)
	}
	lists, err := discovery.ServerPreferredResources(kube.Discovery())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, list := range lists {
		for _, resource := range list.APIResources {
			found[list.GroupVersion+" "+resource.Kind] = true
		}
	}
	for _, want := range []string{
		"v1 Pod", "apps/v1 Deployment", "batch/v1 Job", "work.fleet.dev/v1alpha1 ResourceBinding", "work.fleet.dev/v1alpha1 Work",
		"policy.fleet.dev/v1alpha1 PropagationPolicy", "cluster.fleet.dev/v1alpha1 Cluster", "config.fleet.dev/v1alpha1 ResourceInterpreterCustomization",
	} {
		if !found[want] {
			t.Errorf("discovery has no %s", want)
		}
	}
}

// TestTypedApply applies with a typed apply configuration, twice; the second time
// nothing changes.
func TestTypedApply(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	if err := createDeployment(t.Context(), s.kube, s.namespace, "web"); err != nil {
		t.Fatal(err)
	}
	apply := func() *appsv1.Deployment {
		t.Helper()
		d, err := s.kube.AppsV1().Deployments(s.namespace).Apply(t.Context(),
			appsv1apply.Deployment("web", s.namespace).WithAnnotations(map[string]string{"example.com/note": "mine"}),
			metav1.ApplyOptions{FieldManager: "e2e"})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	apply()
	eventually(t, propagation, "the deployment to be available", func(ctx context.Context) error { return s.checkAllReady(ctx, 1) })
	eventually(t, propagation, "two applies with no change of status in between", func(context.Context) error {
		if first, second := apply(), apply(); first.ResourceVersion != second.ResourceVersion {
			return fmt.Errorf("resource versions %s and %s", first.ResourceVersion, second.ResourceVersion)
		}
		return nil
	})
}

// TestDefaultObjects finds in a new namespace what every cluster puts there, and
// that none of it travels.
func TestDefaultObjects(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	eventually(t, propagation, "the namespace to have its default objects", func(ctx context.Context) error {
		if _, err := s.kube.CoreV1().ServiceAccounts(s.namespace).Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err
		}
		_, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err
	})
	if err := createDeployment(t.Context(), s.kube, s.namespace, "web"); err != nil {
		t.Fatal(err)
	}
	eventually(t, propagation, "the deployment to be available", func(ctx context.Context) error { return s.checkAllReady(ctx, 1) })
	for _, m := range bed.members {
		root, err := m.memberClient.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue // the other member runs the one replica
		}
		if err != nil {
			t.Fatal(err)
		}
		if managedByFleet(root) {
			t.Errorf("%s got the fleet's kube-root-ca.crt; its pods need the member's own", m.Name())
		}
	}
}

func managedByFleet(object *corev1.ConfigMap) bool {
	_, ok := object.Labels[wellknown.LabelManagedBy]
	return ok
}
