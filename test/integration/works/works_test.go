// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package works

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/test/integration/harness"
)

const wait = 60 * time.Second

// createPlaced creates a Deployment and a binding that gives each member one replica.
func createPlaced(t *testing.T, fleet *harness.APIServer, name string, members ...string) (*appsv1.Deployment, *workv1alpha1.ResourceBinding) {
	t.Helper()
	labels := map[string]string{"app": name}
	replicas := int32(len(members))
	deployment, err := fleet.Kube.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	binding := &workv1alpha1.ResourceBinding{
		ObjectMeta: metav1.ObjectMeta{Name: workv1alpha1.BindingName("Deployment", name)},
		Spec: workv1alpha1.BindingSpec{
			Resource: workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "default", Name: name, UID: deployment.UID},
			Replicas: replicas,
		},
	}
	for _, member := range members {
		binding.Spec.Clusters = append(binding.Spec.Clusters, workv1alpha1.TargetCluster{Name: member, Replicas: 1})
	}
	binding, err = fleet.Fleet.WorkV1alpha1().ResourceBindings("default").Create(t.Context(), binding, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return deployment, binding
}

func next(t *testing.T, watcher watch.Interface) watch.Event {
	t.Helper()
	select {
	case event, ok := <-watcher.ResultChan():
		if !ok {
			t.Fatal("the watch ended")
		}
		return event
	case <-time.After(wait):
		t.Fatalf("no event within %s", wait)
	}
	return watch.Event{}
}

func eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	deadline := time.Now().Add(wait)
	for {
		err := try(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestWorks(t *testing.T) {
	t.Parallel()
	fleet := harness.StartAPIServer(t, "")
	works := func(member string) string { return clusterv1alpha1.MemberNamespace(member) }
	client := fleet.Fleet.WorkV1alpha1()
	for _, member := range []string{"f1", "f2", "t1"} { // those that report; the cluster controller makes them otherwise
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: works(member)}}
		if _, err := fleet.Kube.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("WatchSeesOnlyWhatAMemberMustDo", func(t *testing.T) {
		list, err := client.Works(works("w1")).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		watcher, err := client.Works(works("w1")).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.Stop()
		deployment, binding := createPlaced(t, fleet, "watched", "w1")
		added := next(t, watcher)
		work, ok := added.Object.(*workv1alpha1.Work)
		if added.Type != watch.Added || !ok {
			t.Fatalf("want the work added, got %s %T", added.Type, added.Object)
		}
		if work.Spec.Template.UID != deployment.UID || work.Spec.Binding.UID != binding.UID || len(work.Spec.Workload.Manifests) != 1 {
			t.Errorf("the work does not stand for its template and binding: %+v", work.Spec)
		}
		// Who has seen the work can tell that it has seen the binding.
		version, err := strconv.ParseUint(work.ResourceVersion, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := strconv.FormatUint(workv1alpha1.RevisionOfWork(version), 10); got != binding.ResourceVersion {
			t.Errorf("revision of the work: want that of the binding, %s, got %s", binding.ResourceVersion, got)
		}

		// A status is no order to a member; the image is. The next event must be the image's.
		deployment.Status.ObservedGeneration = 1
		if deployment, err = fleet.Kube.AppsV1().Deployments("default").UpdateStatus(t.Context(), deployment, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		deployment.Spec.Template.Spec.Containers[0].Image = "nginx:2"
		if _, err = fleet.Kube.AppsV1().Deployments("default").Update(t.Context(), deployment, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		modified := next(t, watcher)
		if manifest := string(modified.Object.(*workv1alpha1.Work).Spec.Workload.Manifests[0].Raw); modified.Type != watch.Modified || !strings.Contains(manifest, "nginx:2") {
			t.Errorf("want the work modified with the new image, got %s %s", modified.Type, manifest)
		}
	})

	t.Run("SelectorsAndPages", func(t *testing.T) {
		for i := range 5 {
			createPlaced(t, fleet, fmt.Sprintf("page-%d", i), "p1", "p2")
		}
		eventually(t, "five works of p1", func(ctx context.Context) error {
			list, err := client.Works(works("p1")).List(ctx, metav1.ListOptions{})
			if err == nil && len(list.Items) != 5 {
				err = fmt.Errorf("there are %d", len(list.Items))
			}
			return err
		})
		var names []string
		options := metav1.ListOptions{Limit: 2}
		for {
			list, err := client.Works(works("p1")).List(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			for _, work := range list.Items {
				names = append(names, work.Spec.Template.Name)
			}
			if options.Continue = list.Continue; options.Continue == "" {
				break
			}
		}
		if diff := cmp.Diff([]string{"page-0", "page-1", "page-2", "page-3", "page-4"}, names); diff != "" {
			t.Errorf("works over pages of two, -want +got:\n%s", diff)
		}
		byLabel, err := client.Works("").List(t.Context(), metav1.ListOptions{LabelSelector: "fleet.dev/template-name=page-3"})
		if err != nil {
			t.Fatal(err)
		}
		byField, err := client.Works("").List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.namespace=" + works("p2")})
		if err != nil {
			t.Fatal(err)
		}
		if len(byLabel.Items) != 2 || len(byField.Items) != 5 {
			t.Errorf("by label want 2 works, by field 5; got %d and %d", len(byLabel.Items), len(byField.Items))
		}
	})

	t.Run("FieldSelectors", func(t *testing.T) {
		list, err := client.Works("").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		selector := metav1.ListOptions{FieldSelector: "spec.template.kind=Deployment,spec.template.namespace=default,spec.template.name=chosen"}
		following := selector
		following.ResourceVersion = list.ResourceVersion
		watcher, err := client.Works("").Watch(t.Context(), following)
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.Stop()
		createPlaced(t, fleet, "left", "c1", "c2")
		createPlaced(t, fleet, "chosen", "c1", "c2")
		var seen []string
		for range 2 {
			event := next(t, watcher)
			work, ok := event.Object.(*workv1alpha1.Work)
			if !ok {
				t.Fatalf("want a work, got %s %+v", event.Type, event.Object)
			}
			seen = append(seen, string(event.Type)+" "+work.Namespace+" "+work.Spec.Template.Name)
		}
		slices.Sort(seen)
		if diff := cmp.Diff([]string{"ADDED " + works("c1") + " chosen", "ADDED " + works("c2") + " chosen"}, seen); diff != "" {
			t.Errorf("watch of one template's works, -want +got:\n%s", diff)
		}
		for _, options := range []metav1.ListOptions{selector, {FieldSelector: selector.FieldSelector, ResourceVersion: "0"}} {
			list, err := client.Works("").List(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Items) != 2 {
				t.Errorf("list of one template's works from version %q: want 2, got %d", options.ResourceVersion, len(list.Items))
			}
		}
	})

	t.Run("WatchList", func(t *testing.T) {
		createPlaced(t, fleet, "streamed", "s1")
		send := true
		watcher, err := client.Works(works("s1")).Watch(t.Context(), metav1.ListOptions{
			SendInitialEvents: &send, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer watcher.Stop()
		if event := next(t, watcher); event.Type != watch.Added {
			t.Fatalf("want the work added, got %s", event.Type)
		}
		event := next(t, watcher)
		if work, ok := event.Object.(*workv1alpha1.Work); event.Type != watch.Bookmark || !ok || work.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
			t.Errorf("want the bookmark that ends the initial events, got %s %+v", event.Type, event.Object)
		}
	})

	t.Run("FeedbackBecomesNativeStatus", func(t *testing.T) {
		deployment, binding := createPlaced(t, fleet, "reported", "f1", "f2")
		name := workv1alpha1.WorkName("default", binding.Name)
		report := func(member string) {
			work, err := client.Works(works(member)).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			feedback, err := client.WorkFeedbacks(works(member)).Create(t.Context(), &workv1alpha1.WorkFeedback{Spec: workv1alpha1.WorkFeedbackSpec{
				Items: []workv1alpha1.FeedbackItem{{
					Name: name, TemplateUID: deployment.UID, ContentHash: work.Spec.ContentHash, BindingGeneration: work.Spec.Binding.Generation,
					Applied: true, AppliedReason: workv1alpha1.AppliedReasonSuccess, Health: workv1alpha1.ResourceHealthy,
					Status:           &runtime.RawExtension{Raw: []byte(`{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1}`)},
					MemberGeneration: 1, TemplateGeneration: work.Spec.Template.Generation,
				}},
			}}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !feedback.Status.Results[0].Accepted {
				t.Fatalf("feedback of %s: %+v", member, feedback.Status.Results)
			}
		}
		eventually(t, "works of f1", func(ctx context.Context) error {
			_, err := client.Works(works("f1")).Get(ctx, name, metav1.GetOptions{})
			return err
		})
		report("f1")
		report("f2")
		got, err := client.ResourceBindings("default").Get(t.Context(), binding.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Status.AggregatedStatus) != 2 {
			t.Errorf("an acknowledged report is durable, so the binding has both members; got %+v", got.Status)
		}
		eventually(t, "the Deployment's status has both members", func(ctx context.Context) error {
			got, err := fleet.Kube.AppsV1().Deployments("default").Get(ctx, "reported", metav1.GetOptions{})
			if err == nil && (got.Status.ReadyReplicas != 2 || got.Status.ObservedGeneration != got.Generation) {
				err = fmt.Errorf("it is %+v", got.Status)
			}
			return err
		})
	})

	t.Run("TombstoneUntilConfirmed", func(t *testing.T) {
		deployment, binding := createPlaced(t, fleet, "doomed", "t1")
		name := workv1alpha1.WorkName("default", binding.Name)
		if err := client.ResourceBindings("default").Delete(t.Context(), binding.Name, metav1.DeleteOptions{}); !apierrors.IsConflict(err) {
			t.Errorf("deleting a binding that places something: want 409 Conflict, got %v", err)
		}
		if err := fleet.Kube.AppsV1().Deployments("default").Delete(t.Context(), "doomed", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		patch := []byte(`{"spec":{"clusters":null,"tombstones":null}}`)
		binding, err := client.ResourceBindings("default").Patch(t.Context(), binding.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := []workv1alpha1.Tombstone{{ClusterName: "t1", UID: deployment.UID, Generation: 2}}
		if diff := cmp.Diff(want, binding.Spec.Tombstones); diff != "" {
			t.Fatalf("tombstones after the decision became empty, -want +got:\n%s", diff)
		}
		eventually(t, "the work says delete", func(ctx context.Context) error {
			work, err := client.Works(works("t1")).Get(ctx, name, metav1.GetOptions{})
			if err == nil && !work.Spec.Deleted {
				err = fmt.Errorf("it is %+v", work.Spec)
			}
			return err
		})
		if _, err := client.WorkFeedbacks(works("t1")).Create(t.Context(), &workv1alpha1.WorkFeedback{Spec: workv1alpha1.WorkFeedbackSpec{
			Items: []workv1alpha1.FeedbackItem{{Name: name, TemplateUID: deployment.UID, BindingGeneration: 2, Deleted: true}},
		}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := client.ResourceBindings("default").Delete(t.Context(), binding.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting the binding after the member confirmed: %v", err)
		}
	})

	t.Run("NothingAboutWorksIsStored", func(t *testing.T) {
		etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(fleet.DataDir, "etcd", "client.sock")}})
		if err != nil {
			t.Fatal(err)
		}
		defer etcd.Close() //nolint:errcheck // read only
		keys, err := etcd.Get(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(keys.Kvs, func(kv *mvccpb.KeyValue) bool { return strings.Contains(string(kv.Key), "/works/") }) {
			t.Error("etcd holds a key of a work")
		}
	})
}
