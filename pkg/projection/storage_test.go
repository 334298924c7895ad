// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
)

func all() *metainternalversion.ListOptions { return &metainternalversion.ListOptions{} }

func TestPodsOfMembersAndStoredOnesAreOneList(t *testing.T) {
	members := newMembers(t, "a", "b")
	members.members["a"].Put(t, memberPod(t, "default", "web-1", "n1"))
	members.members["b"].Put(t, memberPod(t, "default", "web-2", "n1"))
	other := memberPod(t, "default", "not-of-the-fleet", "n1")
	unstructured.RemoveNestedField(other.Object, "metadata", "labels")
	members.members["a"].Put(t, other)
	s := newServer(t, startEtcd(t), members)
	s.create(storedPod("default", "bare"))

	cases := map[string]struct {
		reason  string
		options *metainternalversion.ListOptions
		want    []string
	}{
		"All":   {reason: "Stored and projected Pods, and none that is not of the fleet.", options: all(), want: []string{"default/bare=", "default/web-1=n1.a", "default/web-2=n1.b"}},
		"Label": {reason: "Labels of the member select.", options: &metainternalversion.ListOptions{LabelSelector: labels.SelectorFromSet(labels.Set{"app": "web"})}, want: []string{"default/bare=", "default/web-1=n1.a", "default/web-2=n1.b"}},
		"Member": {
			reason:  "The label with the member selects.",
			options: &metainternalversion.ListOptions{LabelSelector: labels.SelectorFromSet(labels.Set{wellknown.LabelCluster: "b"})},
			want:    []string{"default/web-2=n1.b"},
		},
		"Node": {
			reason:  "The name of the node is the fleet's.",
			options: &metainternalversion.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", "n1.a")},
			want:    []string{"default/web-1=n1.a"},
		},
		"Phase": {
			reason:  "The phase is the member's.",
			options: &metainternalversion.ListOptions{FieldSelector: fields.OneTermEqualSelector("status.phase", "Running")},
			want:    []string{"default/web-1=n1.a", "default/web-2=n1.b"},
		},
		"AnyVersion": {reason: "Whatever there is.", options: &metainternalversion.ListOptions{ResourceVersion: "0"}, want: []string{"default/bare=", "default/web-1=n1.a", "default/web-2=n1.b"}},
	}
	s.list(all()) // everything is read
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, said := s.list(tc.options)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nPods (-want +got):\n%s", tc.reason, diff)
			}
			if len(said) > 0 {
				t.Errorf("%s\nwarned %q, want no warnings", tc.reason, said)
			}
		})
	}
	t.Run("Pages", func(t *testing.T) {
		var got []string
		options := &metainternalversion.ListOptions{Limit: 1}
		for {
			found, err := s.pods.Pod.List(as("anna", "", "list", ""), options)
			if err != nil {
				t.Fatal(err)
			}
			page := found.(*core.PodList)
			for i := range page.Items {
				got = append(got, page.Items[i].Name)
			}
			if options.Continue = page.Continue; page.Continue == "" {
				break
			}
		}
		if diff := cmp.Diff([]string{"bare", "web-1", "web-2"}, got); diff != "" {
			t.Errorf("pages (-want +got):\n%s", diff)
		}
	})
	t.Run("Get", func(t *testing.T) {
		pod := s.get("default", "web-1")
		if pod.Labels[wellknown.LabelCluster] != "a" || len(pod.ManagedFields) > 0 || pod.Spec.Containers[0].ImagePullPolicy == "" {
			t.Errorf("Pod has labels %v, %d managed fields, policy %q; want the member, none, a default",
				pod.Labels, len(pod.ManagedFields), pod.Spec.Containers[0].ImagePullPolicy)
		}
		if _, err := s.pods.Pod.Get(as("anna", "default", "get", ""), "nobody", &metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("get a Pod nobody has: %v, want not found", err)
		}
	})
	t.Run("NameTaken", func(t *testing.T) {
		_, err := s.pods.Pod.Create(as("anna", "default", "create", ""), storedPod("default", "web-1"), nil, &metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			t.Errorf("create a Pod under the name of a member's: %v, want that it exists", err)
		}
	})
}

func TestStoredPodsAreWhatTheyWere(t *testing.T) {
	etcd := startEtcd(t)
	s := newServer(t, etcd, newMembers(t))
	made := s.create(storedPod("default", "bare"))
	update := func(on *server, pod *core.Pod, label string) (*core.Pod, error) {
		pod = pod.DeepCopy()
		pod.Labels["app"] = label
		updated, _, err := on.pods.Pod.Update(as("anna", "default", "update", ""), pod.Name, rest.DefaultUpdatedObjectInfo(pod), nil, nil, false, &metav1.UpdateOptions{})
		if err != nil {
			return nil, err
		}
		return updated.(*core.Pod), nil
	}
	first, err := update(s, made, "one")
	if err != nil {
		t.Fatalf("update: %v", err)
	}
	if _, err := update(s, made, "two"); !apierrors.IsConflict(err) {
		t.Errorf("update of an old version: %v, want a conflict", err)
	}
	second := newServer(t, etcd, newMembers(t), func(o *Options) { o.Server = 2 })
	through, err := update(second, first, "two")
	if err != nil {
		t.Fatalf("update through another server: %v", err)
	}
	ctx := as("anna", "default", "delete", "")
	zero := int64(0)
	old := metav1.NewPreconditionDeleteOptions("")
	old.Preconditions.UID, old.Preconditions.ResourceVersion, old.GracePeriodSeconds = nil, &first.ResourceVersion, &zero
	if _, _, err := s.pods.Pod.Delete(ctx, "bare", rest.ValidateAllObjectFunc, old); !apierrors.IsConflict(err) {
		t.Errorf("delete on condition of an old version: %v, want a conflict", err)
	}
	latest := s.get("default", "bare")
	if got, err := (versioner{}).ObjectResourceVersion(latest); err != nil || versionAt(revisionOf(got), 0, 2) != numberOf(through.ResourceVersion) {
		t.Errorf("the last update has version %s here, %s through the other server: not of one revision", latest.ResourceVersion, through.ResourceVersion)
	}
	old.Preconditions.ResourceVersion = &latest.ResourceVersion
	if _, _, err := s.pods.Pod.Delete(ctx, "bare", rest.ValidateAllObjectFunc, old); err != nil {
		t.Errorf("delete on condition of the latest version: %v", err)
	}
	if got, _ := s.list(all()); len(got) > 0 {
		t.Errorf("listed %v after the deletion, want none", got)
	}
}

func TestChangesGoToTheMember(t *testing.T) {
	members := newMembers(t, "a")
	a := members.members["a"]
	a.Put(t, memberPod(t, "default", "web-1", "n1"))
	s := newServer(t, startEtcd(t), members)
	change := func(ctx context.Context, edit func(*core.Pod)) (*core.Pod, error) {
		updated, _, err := s.pods.Pod.Update(ctx, "web-1", rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
			pod := old.DeepCopyObject().(*core.Pod)
			edit(pod)
			return pod, nil
		}), nil, nil, false, &metav1.UpdateOptions{})
		if err != nil {
			return nil, err
		}
		return updated.(*core.Pod), nil
	}
	patch := as("anna", "default", "patch", "")
	t.Run("Label", func(t *testing.T) {
		got, err := change(patch, func(pod *core.Pod) { pod.Labels["app"] = "other" })
		if err != nil {
			t.Fatal(err)
		}
		live := a.Get("Pod", "default", "web-1").GetLabels()
		if live["app"] != "other" || live[wellknown.LabelCluster] != "" {
			t.Errorf("labels in the member are %v, want the change and not the fleet's own", live)
		}
		if got.Labels["app"] != "other" || got.ResourceVersion != s.get("default", "web-1").ResourceVersion {
			t.Errorf("answer has labels %v at %s, a read %s", got.Labels, got.ResourceVersion, s.get("default", "web-1").ResourceVersion)
		}
	})
	t.Run("Labels", func(t *testing.T) {
		got, err := change(patch, func(pod *core.Pod) { pod.Labels = map[string]string{"let": "go"} })
		if err != nil {
			t.Fatal(err)
		}
		live := a.Get("Pod", "default", "web-1").GetLabels()
		stamp := memberPod(t, "default", "web-1", "n1").GetLabels()[wellknown.LabelTemplate]
		if diff := cmp.Diff(map[string]string{"let": "go", wellknown.LabelTemplate: stamp}, live); stamp == "" || diff != "" {
			t.Errorf("labels in the member: the stamp %q stays (-want +got):\n%s", stamp, diff)
		}
		if got.Labels[wellknown.LabelCluster] != "a" {
			t.Errorf("labels are %v, want the member's name among them", got.Labels)
		}
	})
	t.Run("ChangedMeanwhile", func(t *testing.T) {
		tries := 0
		if _, err := change(patch, func(pod *core.Pod) {
			if tries++; tries == 1 {
				a.Edit(t, "Pod", "default", "web-1", func(o *unstructured.Unstructured) { o.SetAnnotations(map[string]string{"of": "the member"}) })
			}
			pod.Labels["tries"] = strings.Repeat("x", tries)
		}); err != nil {
			t.Fatal(err)
		}
		live := a.Get("Pod", "default", "web-1")
		if live.GetLabels()["tries"] != "xx" || live.GetAnnotations()["of"] != "the member" {
			t.Errorf("labels %v, annotations %v; want the second try on top of the member's change", live.GetLabels(), live.GetAnnotations())
		}
	})
	t.Run("NotTheFleets", func(t *testing.T) {
		for reason, edit := range map[string]func(*core.Pod){
			"where it is": func(pod *core.Pod) { pod.Labels[wellknown.LabelCluster] = "b" },
			"its owners": func(pod *core.Pod) {
				pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "x", UID: "x"}}
			},
		} {
			if _, err := change(patch, edit); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `"a"`) {
				t.Errorf("change %s: %v, want forbidden, with the member's name", reason, err)
			}
		}
	})
	t.Run("Controllers", func(t *testing.T) {
		a.ResetRequests()
		ctx := as(wellknown.UserControllerManager, "default", "patch", "")
		if _, err := change(ctx, func(pod *core.Pod) { pod.Labels["app"] = "collected" }); err != nil {
			t.Errorf("update by the controller manager: %v, want success", err)
		}
		if _, _, err := s.pods.Pod.Delete(ctx, "web-1", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete by the controller manager: %v, want success", err)
		}
		if a.Writes() != 0 {
			t.Errorf("the controller manager made %v in the member, want nothing", a.Requests())
		}
	})
	t.Run("Refused", func(t *testing.T) {
		a.FailRequests(func(r fake.Request) *apierrors.StatusError {
			if r.Verb == "patch" {
				return apierrors.NewForbidden(core.Resource("pods"), r.Name, errors.New("a webhook says no"))
			}
			return nil
		})
		defer a.FailRequests(nil)
		_, err := change(patch, func(pod *core.Pod) { pod.Labels["app"] = "refused" })
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "webhook says no") || !strings.Contains(err.Error(), `member "a"`) {
			t.Errorf("change the member refuses: %v, want the member's answer and name", err)
		}
	})
	t.Run("Unreachable", func(t *testing.T) {
		a.setDown(errors.New("connection refused"))
		defer a.setDown(nil)
		_, err := change(patch, func(pod *core.Pod) { pod.Labels["app"] = "lost" })
		if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), `member "a"`) {
			t.Errorf("change of a Pod in a member that is down: %v, want 503 with its name", err)
		}
	})
	t.Run("Delete", func(t *testing.T) {
		if _, _, err := s.pods.Pod.Delete(as("anna", "default", "delete", ""), "web-1", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the Pod goes", func() bool {
			got, _ := s.list(all())
			return len(got) == 0
		})
		if a.Get("Pod", "default", "web-1") != nil {
			t.Error("the Pod is still in the member")
		}
	})
}

func TestMemberThatIsDownHidesNobody(t *testing.T) {
	members := newMembers(t, "a", "b", "silent")
	for name, member := range members.members {
		member.Put(t, memberPod(t, "default", "web-"+name, "n1"))
	}
	members.members["silent"].setSilent(true)
	s := newServer(t, startEtcd(t), members, func(o *Options) { o.Patience = 300 * time.Millisecond })
	got, said := s.list(all())
	if want := []string{"default/web-a=n1.a", "default/web-b=n1.b"}; !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if len(said) != 1 || !strings.Contains(said[0], `"silent"`) || !strings.Contains(said[0], "not shown") {
		t.Errorf("warned %q, want that Pods of the silent member are not shown", said)
	}
	started := time.Now()
	s.list(all())
	if took := time.Since(started); took > 250*time.Millisecond {
		t.Errorf("the second list took %s: it waited for the member again", took)
	}
	members.members["a"].setDown(errors.New("no route to host"))
	eventually(t, "the warning", func() bool {
		got, said = s.list(all())
		return len(said) == 2
	})
	if want := []string{"default/web-a=n1.a", "default/web-b=n1.b"}; !slices.Equal(got, want) {
		t.Errorf("listed %v with a member down, want what was last seen of it: %v", got, want)
	}
	if !strings.Contains(said[0]+said[1], "as last seen") {
		t.Errorf("warned %q, want that Pods are shown as last seen", said)
	}
	members.members["a"].setDown(nil)
	members.members["silent"].setSilent(false)
	eventually(t, "all members are back", func() bool {
		got, said = s.list(all())
		return len(got) == 3 && len(said) == 0
	})
	members.remove("b")
	eventually(t, "Pods of a member that left go", func() bool {
		got, _ = s.list(all())
		return len(got) == 2
	})
}

// TestMembersAreFollowedWhileNeeded counts what members are asked.
func TestMembersAreFollowedWhileNeeded(t *testing.T) {
	members := newMembers(t, "a")
	a := members.members["a"]
	a.Put(t, memberPod(t, "default", "web-1", "n1"))
	s := newServer(t, startEtcd(t), members, func(o *Options) { o.IdleAfter = 100 * time.Millisecond })
	asleep := func() bool {
		u := s.p.surfaces[0]
		u.mu.Lock()
		defer u.mu.Unlock()
		return len(u.links) == 0
	}
	storedPods := &metainternalversion.ListOptions{LabelSelector: labels.NewSelector().Add(storedOnly)}
	if got, _ := s.list(storedPods); len(got) != 0 || !asleep() {
		t.Errorf("a list of stored Pods gave %v and woke members: %t", got, !asleep())
	}
	if _, err := s.pods.Pod.Get(as(wellknown.UserScheduler, "default", "get", ""), "gone", &metav1.GetOptions{}); !apierrors.IsNotFound(err) || !asleep() {
		t.Errorf("the scheduler looked for a Pod that is gone, got %v, and woke members: %t", err, !asleep())
	}
	if got, _ := s.list(all()); len(got) != 1 {
		t.Errorf("listed %v, want the member's Pod", got)
	}
	ctx, cancel := context.WithCancel(as("anna", "", "watch", ""))
	w, err := s.watch(ctx, &metainternalversion.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	first := <-w.ResultChan()
	time.Sleep(300 * time.Millisecond)
	if asleep() {
		t.Error("members are not followed though somebody watches")
	}
	cancel()
	eventually(t, "members are left alone", asleep)
	a.Edit(t, "Pod", "default", "web-1", func(o *unstructured.Unstructured) { o.SetAnnotations(map[string]string{"seen": "later"}) })
	version := first.Object.(*core.Pod).ResourceVersion
	again, err := s.watch(as("anna", "", "watch", ""), &metainternalversion.ListOptions{ResourceVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Stop()
	event := <-again.ResultChan()
	if pod, ok := event.Object.(*core.Pod); !ok || event.Type != watch.Modified || pod.Annotations["seen"] != "later" {
		t.Errorf("a resumed watch got %s %v, want the change made while nobody looked", event.Type, event.Object)
	}
}

// TestMembersAreAwaited lists before the server knows what it needs to follow members.
func TestMembersAreAwaited(t *testing.T) {
	members := newMembers(t, "a")
	members.members["a"].Put(t, memberPod(t, "default", "web-1", "n1"))
	known := make(chan struct{})
	s := newServer(t, startEtcd(t), members, func(o *Options) {
		o.Patience = 20 * time.Millisecond
		o.Await = func(ctx context.Context) error {
			select {
			case <-known:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	got, said := s.list(all())
	if len(got) != 0 || len(said) != 1 || !strings.Contains(said[0], "not followed yet") {
		t.Errorf("listed %v with warnings %q, want nothing, and to be told so", got, said)
	}
	if asked := members.members["a"].Requests(); len(asked) != 0 {
		t.Errorf("the member was asked for %v, want nothing yet", asked)
	}
	close(known)
	eventually(t, "the member's Pod is listed", func() bool {
		got, said := s.list(all())
		return len(got) == 1 && len(said) == 0
	})
}

// TestOneBump has all kinds follow etcd from one write on.
func TestOneBump(t *testing.T) {
	etcd := startEtcd(t)
	var bumps atomic.Int32
	fail := errors.New("no write yet")
	p, err := New(Options{Members: newMembers(t), Server: 1, Bump: func(ctx context.Context) error {
		if bumps.Add(1) == 1 {
			return fail
		}
		_, err := etcd.Put(ctx, "/bump", "")
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.begin(t.Context()); !errors.Is(err, fail) {
		t.Errorf("begin without etcd: %v, want its error", err)
	}
	for range 3 {
		if err := p.begin(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := bumps.Load(); got != 2 {
		t.Errorf("%d writes, want the one that failed and one more", got)
	}
}

// TestControllersAreNotToldOfNone has the garbage collector ask for owners that are in
// members nobody has read.
func TestControllersAreNotToldOfNone(t *testing.T) {
	members := newMembers(t, "a", "b")
	members.members["a"].Put(t, memberPod(t, "default", "web-1", "n1"))
	members.members["a"].setSilent(true)
	s := newServer(t, startEtcd(t), members, func(o *Options) { o.Patience = 50 * time.Millisecond })
	get := func(name string) error {
		_, err := s.pods.Pod.Get(as(wellknown.UserControllerManager, "default", "get", ""), name, &metav1.GetOptions{})
		return err
	}
	if err := get("web-1"); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("get an object of a member that was not read: %v, want 503", err)
	}
	members.members["a"].setSilent(false)
	eventually(t, "the object is found", func() bool { return get("web-1") == nil })
	eventually(t, "another is not", func() bool { return apierrors.IsNotFound(get("web-2")) })
	members.members["b"].setDown(errors.New("connection refused"))
	eventually(t, "nothing is known of others", func() bool { return apierrors.IsServiceUnavailable(get("web-2")) })
	if err := get("web-1"); err != nil {
		t.Errorf("get what was seen: %v, want success", err)
	}
}

func TestVersionsOfAnotherServerExpire(t *testing.T) {
	etcd, members := startEtcd(t), newMembers(t, "a")
	members.members["a"].Put(t, memberPod(t, "default", "web-1", "n1"))
	first := newServer(t, etcd, members)
	second := newServer(t, etcd, members, func(o *Options) { o.Server = 2 })
	bare := first.create(storedPod("default", "bare"))
	listed, err := first.pods.Pod.List(as("anna", "", "list", ""), all())
	if err != nil {
		t.Fatal(err)
	}
	for what, version := range map[string]string{"a list": listed.(*core.PodList).ResourceVersion, "a stored Pod": bare.ResourceVersion} {
		_, err := second.pods.Pod.Watch(as("anna", "", "watch", ""), &metainternalversion.ListOptions{ResourceVersion: version})
		if !apierrors.IsResourceExpired(err) {
			t.Errorf("watch from the version of %s of another server: %v, want 410", what, err)
		}
		notOlder, err := second.pods.Pod.List(as("anna", "", "list", ""), &metainternalversion.ListOptions{ResourceVersion: version})
		if err != nil || len(notOlder.(*core.PodList).Items) != 2 {
			t.Errorf("list not older than the version of %s of another server: %v, want both Pods", what, err)
		}
	}
}

// TestFleetingAndReadOnly shows Pods as a kind of which nothing is kept and nothing may be
// changed.
func TestFleetingAndReadOnly(t *testing.T) {
	members := newMembers(t, "a")
	a := members.members["a"]
	for n := range 3 {
		a.Put(t, memberPod(t, "default", fmt.Sprintf("web-%d", n), "n1"))
	}
	s := newServer(t, startEtcd(t), members, func(o *Options) {
		o.IdleAfter = 100 * time.Millisecond
		o.Kinds[0].Fleeting, o.Kinds[0].ReadOnly = true, true
	})
	want := []string{"default/web-0=n1.a", "default/web-1=n1.a", "default/web-2=n1.a"}
	eventually(t, "the Pods are listed", func() bool {
		got, _ := s.list(all())
		return slices.Equal(want, got)
	})
	ctx := as("anna", "default", "delete", "")
	a.ResetRequests()
	eventually(t, "a deletion is refused", func() bool { // it may be asleep, and know of none, before
		s.list(all())
		_, _, err := s.pods.Pod.Delete(ctx, "web-0", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), `member "a"`)
	})
	eventually(t, "an update is refused", func() bool {
		s.list(all())
		_, _, err := s.pods.Pod.Update(as("anna", "default", "update", ""), "web-0", rest.DefaultUpdatedObjectInfo(nil,
			func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
				pod := old.DeepCopyObject().(*core.Pod)
				pod.Labels["app"] = "other"
				return pod, nil
			}), nil, nil, false, &metav1.UpdateOptions{})
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), `member "a"`)
	})
	if a.Writes() != 0 {
		t.Errorf("the member was asked for %v, want no changes", a.Requests())
	}
	itself := request.WithNamespace(request.NewContext(), "default")
	if _, _, err := s.pods.Pod.Delete(itself, "web-0", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) || a.Writes() != 0 {
		t.Errorf("a registry deletes what it may have stored: %v, with %v in the member; want success, and nothing", err, a.Requests())
	}
	surface := s.p.surfaces[0]
	eventually(t, "nothing is kept of the member", func() bool { return !surface.union.has("a") })
	if got, _ := s.list(all()); !slices.Equal(want, got) {
		t.Errorf("listed %v when they are needed again, want %v", got, want)
	}
}

// TestMergedShown lists and watches what members have together.
func TestMergedShown(t *testing.T) {
	members := newMembers(t, "a", "b")
	for _, member := range members.members {
		member.Put(t, memberPod(t, "default", "web", "n1"))
	}
	s := newServer(t, startEtcd(t), members, func(o *Options) {
		o.Kinds[0].Merge, o.Kinds[0].ReadOnly, o.Kinds[0].Owner, o.Kinds[0].CopyOf = mergePods, true, nil, nil
	})
	if got, said := s.list(all()); !slices.Equal(got, []string{"default/web=n1.a"}) || len(said) > 0 {
		t.Errorf("listed %v first, warned %q, want one Pod", got, said)
	}
	first := s.get("default", "web")
	if uids := strings.Split(string(first.UID), "+"); len(uids) != 2 {
		t.Errorf("the first list has a Pod of %v, want one of both members", uids)
	}
	ctx, cancel := context.WithCancel(as("anna", "", "watch", ""))
	defer cancel()
	w, err := s.watch(ctx, &metainternalversion.ListOptions{ResourceVersion: first.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	members.members["b"].Remove(t, "Pod", "default", "web")
	select {
	case event := <-w.ResultChan():
		if pod, ok := event.Object.(*core.Pod); !ok || event.Type != watch.Modified || strings.Contains(string(pod.UID), "+") {
			t.Errorf("watched %s %v, want the Pod of one member", event.Type, event.Object)
		}
	case <-time.After(waitLong):
		t.Error("the watch says nothing")
	}
}
