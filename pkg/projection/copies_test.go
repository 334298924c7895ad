// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
)

// copiedPod is what a syncer made of a stored Pod in a member.
func copiedPod(t *testing.T, of *core.Pod, node string) *unstructured.Unstructured {
	t.Helper()
	pod := memberPod(t, of.Namespace, of.Name, node)
	pod.SetLabels(map[string]string{"app": "web", wellknown.LabelTemplate: string(of.UID), wellknown.LabelManagedBy: "fleet"})
	pod.SetAnnotations(map[string]string{wellknown.AnnotationTemplateUID: string(of.UID)})
	return pod
}

// TestPodCopyOf takes for copies of bare Pods those that have the stamp of one.
func TestPodCopyOf(t *testing.T) {
	cases := map[string]struct {
		reason  string
		managed string
		stamp   string
		want    types.UID
	}{
		"Copy":       {reason: "Its stamp is the uid of the fleet's Pod.", managed: "fleet", stamp: "u", want: "u"},
		"OfWorkload": {reason: "A Pod template may say anything but the stamp.", managed: "fleet", stamp: "7c9f8d6b5"},
		"Unmanaged":  {reason: "The syncer marks what it makes.", stamp: "u"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := podCopyOf(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Labels:      map[string]string{wellknown.LabelManagedBy: tc.managed, wellknown.LabelTemplate: tc.stamp},
				Annotations: map[string]string{wellknown.AnnotationTemplateUID: "u"},
			}})
			if got != tc.want {
				t.Errorf("%s\npodCopyOf(...): want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}

// change updates a Pod through a subresource, or none.
func (s *server) change(name, subresource string, edit func(*core.Pod)) (*core.Pod, error) {
	ctx := as("anna", "default", "update", subresource)
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		pod := old.DeepCopyObject().(*core.Pod)
		edit(pod)
		return pod, nil
	})
	var updater rest.Updater = s.pods.Pod
	switch subresource {
	case "ephemeralcontainers":
		updater = s.pods.EphemeralContainers
	case "resize":
		updater = s.pods.Resize
	}
	updated, _, err := updater.Update(ctx, name, info, nil, nil, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return updated.(*core.Pod), nil
}

func TestStoredPodShowsItsCopy(t *testing.T) {
	members := newMembers(t, "a", "b")
	a, b := members.members["a"], members.members["b"]
	s := newServer(t, startEtcd(t), members)
	bare := storedPod("default", "bare")
	bare.Spec.Containers[0].Resources.Requests = core.ResourceList{core.ResourceCPU: resource.MustParse("1")}
	made := s.create(bare)
	if got := s.get("default", "bare"); got.Spec.NodeName != "" || got.ResourceVersion != made.ResourceVersion {
		t.Fatalf("a pod that no member has is as it was stored, got node %q at %s", got.Spec.NodeName, got.ResourceVersion)
	}
	old := made.DeepCopy()
	old.UID = "earlier"
	b.Put(t, copiedPod(t, old, "n9"))
	a.Put(t, copiedPod(t, made, ""))
	shown := func(node string) func() bool {
		return func() bool { return s.get("default", "bare").Spec.NodeName == node }
	}
	a.Edit(t, "Pod", "default", "bare", func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, "n1", "spec", "nodeName")
		_ = unstructured.SetNestedField(o.Object, "robot", "spec", "serviceAccountName")
		_ = unstructured.SetNestedSlice(o.Object, []any{map[string]any{"name": "kube-api-access-a", "emptyDir": map[string]any{}}}, "spec", "volumes")
		o.SetLabels(with(o.GetLabels(), corev1.LabelTopologyZone, "z1"))
	})
	eventually(t, "the node is shown", shown("n1.a"))
	got := s.get("default", "bare")
	if got.UID != made.UID || got.Labels[wellknown.LabelCluster] != "" || got.Labels[wellknown.LabelTemplate] != "" {
		t.Errorf("it is the fleet's pod, got uid %s and %v", got.UID, got.Labels)
	}
	if len(got.Spec.Volumes) != 1 || got.Spec.ServiceAccountName != "robot" || got.Labels[corev1.LabelTopologyZone] != "z1" {
		t.Errorf("it has what the member added, got %v, %q, %v", got.Spec.Volumes, got.Spec.ServiceAccountName, got.Labels)
	}
	t.Run("Scheduler", func(*testing.T) { s.checkScheduler(made) })
	names, _ := s.list(all())
	if diff := cmp.Diff([]string{"default/bare=n1.a"}, names); diff != "" {
		t.Errorf("the pod is listed once (-want +got):\n%s", diff)
	}
	onNode := &metainternalversion.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", "n1.a")}
	if names, _ := s.list(onNode); len(names) != 1 {
		t.Errorf("want the pod of the node, got %v", names)
	}
	if member, name, ok := s.p.FindPod("default", "bare"); !ok || member != "a" || name != "bare" {
		t.Errorf("FindPod: got %q %q %t", member, name, ok)
	}

	t.Run("Update", func(t *testing.T) {
		// A client sends back what it read, node included.
		read := s.get("default", "bare")
		read.Labels["app"] = "one"
		updated, _, err := s.pods.Pod.Update(as("anna", "default", "update", ""), "bare", rest.DefaultUpdatedObjectInfo(read), nil, nil, false, &metav1.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if pod := updated.(*core.Pod); pod.Spec.NodeName != "n1.a" || pod.Labels["app"] != "one" {
			t.Errorf("the answer has node %q and labels %v", pod.Spec.NodeName, pod.Labels)
		}
		if _, _, err := s.pods.Pod.Update(as("anna", "default", "update", ""), "bare", rest.DefaultUpdatedObjectInfo(read), nil, nil, false, &metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
			t.Errorf("update of an old version: %v, want a conflict", err)
		}
		if raw := s.raw("default/bare"); raw.Spec.NodeName != "" || raw.Labels["app"] != "one" || len(raw.Spec.Volumes) > 0 || raw.Labels[corev1.LabelTopologyZone] != "" {
			t.Errorf("etcd has what the user wrote and no node, got %v and %v", raw.Spec, raw.Labels)
		}
		if a.Get("Pod", "default", "bare").GetLabels()["app"] != "web" {
			t.Error("the copy is the syncer's to change")
		}
	})
	t.Run("Debug", func(t *testing.T) {
		container := core.EphemeralContainer{EphemeralContainerCommon: core.EphemeralContainerCommon{
			Name: "debugger", Image: "busybox", ImagePullPolicy: core.PullAlways, TerminationMessagePolicy: core.TerminationMessageReadFile,
		}}
		pod, err := s.change("bare", "ephemeralcontainers", func(pod *core.Pod) {
			pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, container)
		})
		if err != nil {
			t.Fatal(err)
		}
		in, _, _ := unstructured.NestedSlice(a.Get("Pod", "default", "bare").Object, "spec", "ephemeralContainers")
		if len(in) != 1 || len(pod.Spec.EphemeralContainers) != 1 || len(s.raw("default/bare").Spec.EphemeralContainers) != 0 {
			t.Errorf("want it in the member, shown, and not stored: got %v, %v", in, pod.Spec.EphemeralContainers)
		}
	})
	t.Run("Mine", func(t *testing.T) {
		// Who read it may change what was read.
		s.get("default", "bare").Spec.EphemeralContainers[0].Image = "mine"
		if got := s.get("default", "bare").Spec.EphemeralContainers[0].Image; got != "busybox" {
			t.Errorf("what one reader did to its copy another one reads: %q", got)
		}
	})
	t.Run("Resize", func(t *testing.T) {
		more := core.ResourceList{core.ResourceCPU: resource.MustParse("2")}
		resized := func(pod *core.Pod) { pod.Spec.Containers[0].Resources.Requests = more }
		a.FailRequests(func(r fake.Request) *apierrors.StatusError {
			if r.Verb == "patch" {
				return apierrors.NewForbidden(core.Resource("pods"), r.Name, errors.New("a quota says no"))
			}
			return nil
		})
		if _, err := s.change("bare", "resize", resized); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `member "a"`) {
			t.Errorf("resize that the member refuses: %v, want its answer and name", err)
		}
		if got := s.raw("default/bare").Spec.Containers[0].Resources.Requests; !got.CPU().Equal(resource.MustParse("1")) {
			t.Errorf("what the member refused is not stored, got %v", got)
		}
		a.FailRequests(nil)
		pod, err := s.change("bare", "resize", resized)
		if err != nil {
			t.Fatal(err)
		}
		in, _, _ := unstructured.NestedSlice(a.Get("Pod", "default", "bare").Object, "spec", "containers")
		cpu, _, _ := unstructured.NestedString(in[0].(map[string]any), "resources", "requests", "cpu")
		stored := s.raw("default/bare").Spec.Containers[0].Resources.Requests
		if cpu != "2" || !stored.CPU().Equal(resource.MustParse("2")) || pod.Spec.NodeName != "n1.a" {
			t.Errorf("want 2 CPUs in the member and stored, got %q and %v", cpu, stored)
		}
	})
	t.Run("Delete", func(t *testing.T) {
		read := s.get("default", "bare")
		options := metav1.NewPreconditionDeleteOptions(string(read.UID))
		options.Preconditions.ResourceVersion = &read.ResourceVersion
		if _, now, err := s.pods.Pod.Delete(as("anna", "default", "delete", ""), "bare", rest.ValidateAllObjectFunc, options); err != nil || now {
			t.Fatalf("delete: gone at once %t, %v; want it to end gracefully", now, err)
		}
		pod := s.get("default", "bare")
		if pod.DeletionTimestamp == nil || *pod.DeletionGracePeriodSeconds != 30 || pod.Spec.NodeName != "n1.a" {
			t.Errorf("want it terminating for 30 s on its node, got %v on %q", pod.DeletionTimestamp, pod.Spec.NodeName)
		}
		a.Remove(t, "Pod", "default", "bare")
		eventually(t, "the node goes with the copy", shown(""))
		if _, now, err := s.pods.Pod.Delete(as(wellknown.UserControllerManager, "default", "delete", ""), "bare", rest.ValidateAllObjectFunc,
			metav1.NewDeleteOptions(0)); err != nil || !now {
			t.Errorf("end: gone at once %t, %v", now, err)
		}
	})
}

// checkScheduler checks that the scheduler lists and watches a Pod as it was made.
func (s *server) checkScheduler(made *core.Pod) {
	s.t.Helper()
	ctx := as(wellknown.UserScheduler, "default", "list", "")
	listed, err := s.pods.Pod.List(ctx, all())
	if err != nil {
		s.t.Fatal(err)
	}
	list := listed.(*core.PodList)
	if diff := cmp.Diff(made.Spec, list.Items[0].Spec, cmpopts.EquateEmpty()); diff != "" || len(list.Items[0].Labels) != len(made.Labels) {
		s.t.Errorf("the scheduler lists %v (-want +got):\n%s", list.Items[0].Labels, diff)
	}
	// From the beginning of time: what there is comes first.
	watched, err := s.pods.Pod.Watch(ctx, &metainternalversion.ListOptions{ResourceVersion: "0"})
	if err != nil {
		s.t.Fatal(err)
	}
	defer watched.Stop()
	event := <-watched.ResultChan()
	if pod, ok := event.Object.(*core.Pod); !ok || pod.Spec.NodeName != "" || len(pod.Spec.Volumes) > 0 {
		s.t.Errorf("the scheduler watches %v", event)
	}
	if node := s.get("default", "bare").Spec.NodeName; node == "" {
		s.t.Error("others see the node no more")
	}
}

func TestDeleteAtOnce(t *testing.T) {
	cases := map[string]struct {
		reason  string
		user    string
		unready string
	}{
		"Controllers": {reason: "namespaces do not wait for members, nor does the garbage collector", user: wellknown.UserControllerManager},
		"MemberDown":  {reason: "nobody would end it", user: "anna", unready: "no heartbeat"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			members := newMembers(t, "a")
			s := newServer(t, startEtcd(t), members)
			made := s.create(storedPod("default", "bare"))
			members.members["a"].Put(t, copiedPod(t, made, "n1"))
			eventually(t, "the node is shown", func() bool { return s.get("default", "bare").Spec.NodeName != "" })
			members.setUnready("a", tc.unready)
			if _, now, err := s.pods.Pod.Delete(as(tc.user, "default", "delete", ""), "bare", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil || !now {
				t.Errorf("%s: gone at once %t, %v", tc.reason, now, err)
			}
		})
	}
}

func TestSubresourceOfPodThatRunsNowhere(t *testing.T) {
	s := newServer(t, startEtcd(t), newMembers(t, "a"))
	s.create(storedPod("default", "bare"))
	if _, err := s.change("bare", "ephemeralcontainers", func(*core.Pod) {}); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "no member") {
		t.Errorf("debug of a pod that is in no member: %v, want a conflict that says so", err)
	}
}

// raw is what etcd has of a Pod.
func (s *server) raw(key string) *core.Pod {
	s.t.Helper()
	pod := &core.Pod{}
	if err := s.p.surfaces[0].follower.raw.Get(s.t.Context(), "/pods/"+key, storage.GetOptions{}, pod); err != nil {
		s.t.Fatalf("read %s in etcd: %v", key, err)
	}
	return pod
}

// TestCopiesAreWhatThereIs compares what a watch of random changes comes to with what
// exists.
func TestCopiesAreWhatThereIs(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kind := Pods(testTemplates{})
	u := newUnion(&kind, NoOwners{})
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	_, _, reader := u.ledger.SnapshotAndFollow()
	defer reader.Close()
	const key = "x/web"
	type copied struct{ of, node string }
	stored, copies, others := "", map[string]copied{}, map[string]bool{}
	revision, version := uint64(10), uint64(0)
	followed := map[string]string{}
	for step := range 20000 {
		member := string("abc"[random.IntN(3)])
		version++
		switch choice := random.IntN(10); {
		case choice < 2:
			revision++
			stored = fmt.Sprint(random.IntN(2))
			_ = u.putStored(podOf(key, stored, fmt.Sprint(revision)))
		case choice < 3:
			revision++
			_ = u.removeStored(podOf(key, stored, fmt.Sprint(revision)))
			stored = ""
		case choice < 7:
			made := copied{of: fmt.Sprint(random.IntN(2)), node: fmt.Sprint(random.IntN(2))}
			seen := seenPod(key, "of "+member, version)
			seen.of, seen.object.(*core.Pod).Spec.NodeName = types.UID(made.of), made.node
			u.put(member, seen, false)
			copies[member] = made
			delete(others, member)
		case choice < 8:
			u.put(member, seenPod(key, "of "+member, version), false)
			others[member] = true
			delete(copies, member)
		case choice < 9:
			u.remove(member, key, version)
			delete(copies, member)
			delete(others, member)
		default:
			u.retain(member, nil, version)
			delete(copies, member)
			delete(others, member)
		}
		batch, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		for i := range batch.Changes {
			c := &batch.Changes[i]
			delete(followed, c.Key())
			if c.Next != nil {
				pod := c.Next.Object.(*core.Pod)
				followed[c.Key()] = string(pod.UID) + "@" + pod.Spec.NodeName
			}
		}
		want, exists := map[string]string{}, map[string]string{}
		if stored != "" {
			want[key] = stored + "@"
			for _, member := range []string{"a", "b", "c"} {
				if made, ok := copies[member]; ok && made.of == stored {
					want[key] += made.node
					break
				}
			}
			exists[key] = stored
		}
		held := map[string]map[string]string{"a": {}, "b": {}, "c": {}}
		for member := range others {
			held[member][key] = "of " + member + "@"
		}
		for name, uid := range modelNames(exists, held) {
			if strings.HasPrefix(uid, "of ") {
				want[name] = uid
			}
		}
		if diff := cmp.Diff(want, followed, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("step %d: watched (-want +got):\n%s", step, diff)
		}
	}
}
