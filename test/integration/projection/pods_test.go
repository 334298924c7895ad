// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
	"fleet.dev/fleet/test/integration/harness"
)

// listed returns name=node of Pods in namespace default.
func listed(ctx context.Context, t *testing.T, client kubernetes.Interface, options metav1.ListOptions) []string {
	t.Helper()
	pods, err := client.CoreV1().Pods("default").List(ctx, options)
	if err != nil {
		t.Fatalf("list Pods: %v", err)
	}
	var names []string
	for i := range pods.Items {
		names = append(names, pods.Items[i].Name+"="+pods.Items[i].Spec.NodeName)
	}
	return names
}

func TestPods(t *testing.T) {
	t.Parallel()
	server := start(t, "")
	a, b := fake.Start(t), fake.Start(t)
	a.Put(t, pod(t, "web-1", "n1"))
	b.Put(t, pod(t, "web-2", "n1"))
	b.Put(t, pod(t, "web-1", "n2"))
	join(t, server, "a", a)
	join(t, server, "b", b)
	ctx := t.Context()
	pods := server.Kube.CoreV1().Pods("default")
	bare := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "bare"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}},
	}
	eventually(t, "create a bare Pod", func(ctx context.Context) bool { // once the default ServiceAccount is there
		_, err := pods.Create(ctx, bare, metav1.CreateOptions{})
		return err == nil
	})
	everything := []string{"bare=", "web-1=n1.a", "web-1.b=n2.b", "web-2=n1.b"}
	eventually(t, "all Pods are listed", func(ctx context.Context) bool {
		return slices.Equal(everything, listed(ctx, t, server.Kube, metav1.ListOptions{}))
	})

	t.Run("Selectors", func(t *testing.T) {
		cases := map[string]struct {
			reason  string
			options metav1.ListOptions
			want    []string
		}{
			"Label":  {reason: "Labels are the member's.", options: metav1.ListOptions{LabelSelector: "app=web"}, want: []string{"web-1=n1.a", "web-1.b=n2.b", "web-2=n1.b"}},
			"Member": {reason: "A label names the member.", options: metav1.ListOptions{LabelSelector: wellknown.LabelCluster + "=b"}, want: []string{"web-1.b=n2.b", "web-2=n1.b"}},
			"Stored": {reason: "What is stored has no such label.", options: metav1.ListOptions{LabelSelector: "!" + wellknown.LabelCluster}, want: []string{"bare="}},
			"Node":   {reason: "Nodes have the fleet's names.", options: metav1.ListOptions{FieldSelector: "spec.nodeName=n1.b"}, want: []string{"web-2=n1.b"}},
			"Phase":  {reason: "The phase is the member's.", options: metav1.ListOptions{FieldSelector: "status.phase=Running"}, want: []string{"web-1=n1.a", "web-1.b=n2.b", "web-2=n1.b"}},
		}
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				if diff := cmp.Diff(tc.want, listed(t.Context(), t, server.Kube, tc.options)); diff != "" {
					t.Errorf("%s\nPods (-want +got):\n%s", tc.reason, diff)
				}
			})
		}
	})
	t.Run("Table", func(t *testing.T) {
		table := &metav1.Table{}
		err := server.Kube.CoreV1().RESTClient().Get().Namespace("default").Resource("pods").
			SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(ctx).Into(table)
		if err != nil {
			t.Fatal(err)
		}
		var rows []string
		for _, row := range table.Rows {
			rows = append(rows, strings.Join([]string{row.Cells[0].(string), row.Cells[2].(string), row.Cells[6].(string)}, " "))
		}
		if diff := cmp.Diff([]string{"bare Pending <none>", "web-1 Running n1.a", "web-1.b Running n2.b", "web-2 Running n1.b"}, rows); diff != "" {
			t.Errorf("name, status and node of kubectl get pods -o wide (-want +got):\n%s", diff)
		}
	})
	t.Run("Patch", func(t *testing.T) {
		got, err := pods.Patch(ctx, "web-1.b", types.MergePatchType, []byte(`{"metadata":{"labels":{"by":"anna"}}}`), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Labels["by"] != "anna" || got.Name != "web-1.b" {
			t.Errorf("answer is %s with labels %v", got.Name, got.Labels)
		}
		if b.Get("Pod", "default", "web-1").GetLabels()["by"] != "anna" || a.Get("Pod", "default", "web-1").GetLabels()["by"] != "" {
			t.Error("the label is not on the Pod of member b alone")
		}
	})
	t.Run("Apply", func(t *testing.T) {
		_, err := pods.Patch(ctx, "web-2", types.ApplyPatchType,
			[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-2","labels":{"by":"apply"}}}`), metav1.PatchOptions{FieldManager: "anna"})
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Get("Pod", "default", "web-2").GetLabels()["by"]; got != "apply" {
			t.Errorf("label in the member is %q, want what was applied", got)
		}
	})
	t.Run("WatchAndDelete", func(t *testing.T) {
		w, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=web-2"})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		if first := <-w.ResultChan(); first.Type != watch.Added {
			t.Fatalf("the watch began with %s", first.Type)
		}
		if err := pods.Delete(ctx, "web-2", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if next := <-w.ResultChan(); next.Type != watch.Deleted {
			t.Errorf("the watch got %s, want the deletion", next.Type)
		}
		if b.Get("Pod", "default", "web-2") != nil {
			t.Error("the Pod is still in its member")
		}
	})
	t.Run("Evict", func(t *testing.T) {
		b.Put(t, pod(t, "web-3", "n1"))
		eventually(t, "the Pod is there", func(ctx context.Context) bool {
			return slices.Contains(listed(ctx, t, server.Kube, metav1.ListOptions{}), "web-3=n1.b")
		})
		err := server.Kube.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name("web-3").SubResource("eviction").
			Body([]byte(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"web-3","namespace":"default"}}`)).Do(ctx).Error()
		if err != nil || b.Get("Pod", "default", "web-3") != nil {
			t.Errorf("evict: %v; in the member afterwards: %v", err, b.Get("Pod", "default", "web-3") != nil)
		}
	})
}

// TestRights reads as a user who may read Pods in one namespace.
func TestRights(t *testing.T) {
	t.Parallel()
	server := start(t, "")
	a := fake.Start(t)
	a.Put(t, pod(t, "web-1", "n1"))
	join(t, server, "a", a)
	ctx := t.Context()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "anna"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}}},
	}
	if _, err := server.Kube.RbacV1().Roles("default").Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "anna"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "anna"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "anna"}},
	}
	if _, err := server.Kube.RbacV1().RoleBindings("default").Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(server.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "anna"}
	anna := kubernetes.NewForConfigOrDie(config)
	eventually(t, "her rights are known", func(ctx context.Context) bool {
		review, err := anna.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: "list", Resource: "pods"}},
		}, metav1.CreateOptions{})
		return err == nil && review.Status.Allowed
	})
	eventually(t, "her Pods are listed", func(ctx context.Context) bool {
		return slices.Equal([]string{"web-1=n1.a"}, listed(ctx, t, anna, metav1.ListOptions{}))
	})
	if _, err := anna.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list Pods of all namespaces: %v, want forbidden", err)
	}
	if err := anna.CoreV1().Pods("default").Delete(ctx, "web-1", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("delete a Pod: %v, want forbidden", err)
	}
}

// TestMemberDown reads the Warning header of a list.
func TestMemberDown(t *testing.T) {
	t.Parallel()
	server := start(t, "")
	a, down := fake.Start(t), fake.Start(t)
	a.Put(t, pod(t, "web-1", "n1"))
	join(t, server, "a", a)
	join(t, server, "down", down)
	down.SetToken("another") // it refuses the fleet
	var warned []string
	eventually(t, "the list warns", func(ctx context.Context) bool {
		warned = warnings(ctx, t, server)
		return len(warned) == 1
	})
	if !strings.Contains(warned[0], `member \"down\"`) {
		t.Errorf("warned %q, want the name of the member", warned)
	}
	if got := listed(t.Context(), t, server.Kube, metav1.ListOptions{}); !slices.Equal(got, []string{"web-1=n1.a"}) {
		t.Errorf("listed %v, want the Pod of the member that is up", got)
	}
	down.SetToken(fake.Token)
	eventually(t, "the member is back", func(ctx context.Context) bool { return len(warnings(ctx, t, server)) == 0 })
}

func warnings(ctx context.Context, t *testing.T, server *harness.APIServer) []string {
	t.Helper()
	client, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.Config.Host+"/api/v1/namespaces/default/pods", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	return response.Header.Values("Warning")
}

// TestRestart resumes a watch from before a restart of the server.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/fleet"
	server := start(t, dir)
	a := fake.Start(t)
	a.Put(t, pod(t, "web-1", "n1"))
	join(t, server, "a", a)
	var before *corev1.PodList
	eventually(t, "the Pod is listed", func(ctx context.Context) bool {
		var err error
		before, err = server.Kube.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		return err == nil && len(before.Items) == 1
	})
	server.Stop()
	a.Put(t, pod(t, "web-2", "n1"))
	server = start(t, dir)
	w, err := server.Kube.CoreV1().Pods("default").Watch(t.Context(), metav1.ListOptions{ResourceVersion: before.ResourceVersion})
	if err == nil {
		event := <-w.ResultChan()
		w.Stop()
		err = apierrors.FromObject(event.Object)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("resume a watch after a restart: %v, want 410", err)
	}
	eventually(t, "both Pods are listed", func(ctx context.Context) bool {
		return len(listed(ctx, t, server.Kube, metav1.ListOptions{})) == 2
	})
}
