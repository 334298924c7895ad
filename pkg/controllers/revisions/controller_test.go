// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package revisions

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
	deploymentutil "k8s.io/kubernetes/pkg/controller/deployment/util"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// rig is a running controller on a fake API server, in a bubble of fake time.
type rig struct {
	*testing.T
	fleet *fake.Clientset

	mu       sync.Mutex
	versions int
	written  []string // verbs and resources, of what was written; guarded by mu
}

// isRecord says whether a resource is the controller's to write.
func isRecord(resource schema.GroupVersionResource) bool {
	return resource.Resource == "replicasets" || resource.Resource == "controllerrevisions"
}

// serve does what is asked for as a server does: with uids, and versions that must not
// be older than what is stored.
func (r *rig) serve(action clienttesting.Action) (bool, runtime.Object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.versions++
	resource := action.GetResource()
	if written, ok := action.(clienttesting.UpdateAction); ok { // or creation
		object := written.GetObject().DeepCopyObject()
		accessor, err := meta.Accessor(object)
		if err != nil {
			return true, nil, err
		}
		if action.GetVerb() == "create" {
			accessor.SetUID(types.UID(fmt.Sprint("uid-", r.versions)))
			accessor.SetGeneration(1)
			action = clienttesting.NewCreateAction(resource, "shop", object)
		} else {
			if isRecord(resource) && r.isOld(resource, accessor) {
				return true, nil, apierrors.NewConflict(resource.GroupResource(), accessor.GetName(), nil)
			}
			action = clienttesting.NewUpdateSubresourceAction(resource, action.GetSubresource(), "shop", object)
		}
		accessor.SetResourceVersion(strconv.Itoa(r.versions))
	}
	_, object, err := clienttesting.ObjectReaction(r.fleet.Tracker())(action)
	if err == nil && isRecord(resource) {
		r.written = append(r.written, strings.TrimSuffix(action.GetVerb()+" "+resource.Resource+"/"+action.GetSubresource(), "/"))
	}
	return true, object, err
}

func (r *rig) isOld(resource schema.GroupVersionResource, object metav1.Object) bool {
	current, err := r.fleet.Tracker().Get(resource, "shop", object.GetName())
	return err == nil && current.(metav1.Object).GetResourceVersion() != object.GetResourceVersion()
}

func run(t *testing.T, objects []runtime.Object, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &rig{T: t, fleet: fake.NewClientset(objects...)}
		for _, verb := range []string{"create", "update", "patch", "delete"} {
			r.fleet.PrependReactor(verb, "*", r.serve)
		}
		factory := informers.NewSharedInformerFactory(r.fleet, 0)
		controller, err := New(Dependencies{Client: r.fleet, Informers: factory, Recorder: record.NewFakeRecorder(10), Clock: clock.RealClock{}})
		if err != nil {
			t.Fatal(err)
		}
		factory.Start(ctx.Done())
		done := make(chan struct{})
		go func() { defer close(done); controller.Run(ctx) }()
		r.settle()
		test(r)
		cancel()
		<-done
		factory.Shutdown()
	})
}

// settle lets everything happen that is due, but what waits for time.
func (r *rig) settle() {
	r.Helper()
	time.Sleep(200 * time.Millisecond) // fake, and less than numbers wait
	synctest.Wait()
}

// writes are what was written since it was asked last.
func (r *rig) writes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	written := r.written
	r.written = nil
	return written
}

func (r *rig) wrote(reason string, want ...string) {
	r.Helper()
	if diff := cmp.Diff(want, r.writes()); diff != "" {
		r.Fatalf("\n%s\nwrites: -want, +got:\n%s", reason, diff)
	}
}

// change does as a user or member would.
func (r *rig) change(do func(ctx context.Context) error) {
	r.Helper()
	if err := do(r.Context()); err != nil {
		r.Fatal(err)
	}
	r.settle()
}

func (r *rig) update(deployment *appsv1.Deployment) {
	r.Helper()
	r.change(func(ctx context.Context) error {
		_, err := r.fleet.AppsV1().Deployments("shop").Update(ctx, deployment, metav1.UpdateOptions{})
		return err
	})
}

// sets are the records, by image: replicas asked for, replicas and ready ones that are.
func (r *rig) sets() map[string]string {
	r.Helper()
	list, err := r.fleet.AppsV1().ReplicaSets("shop").List(r.Context(), metav1.ListOptions{})
	if err != nil {
		r.Fatal(err)
	}
	got := map[string]string{}
	for _, rs := range list.Items {
		owner := "nobody"
		if ref := metav1.GetControllerOf(&rs); ref != nil {
			owner = string(ref.UID)
		}
		got[rs.Spec.Template.Spec.Containers[0].Image] = fmt.Sprintf("%s of %s: %d %d %d",
			rs.Annotations["deployment.kubernetes.io/revision"], owner, *rs.Spec.Replicas, rs.Status.Replicas, rs.Status.ReadyReplicas)
	}
	return got
}

func (r *rig) has(reason string, want map[string]string) {
	r.Helper()
	if diff := cmp.Diff(want, r.sets()); diff != "" {
		r.Fatalf("\n%s\nreplica sets: -want, +got:\n%s", reason, diff)
	}
}

func podTemplate(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}},
	}
}

var selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}

// web is a Deployment with an image, all of whose replicas are updated and ready
// unless some are not.
func web(image string, generation int64, unready int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web", Generation: generation},
		Spec:       appsv1.DeploymentSpec{Replicas: new(int32(3)), Selector: selector, Template: podTemplate(image)},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: generation, Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: 3 - unready, AvailableReplicas: 3 - unready,
		},
	}
}

func TestDeployment(t *testing.T) {
	run(t, []runtime.Object{web("a", 1, 0)}, func(r *rig) {
		r.settle()
		r.wrote("A revision that is rolled out costs a record and its numbers.", "create replicasets", "update replicasets/status")
		r.has("The record says what runs.", map[string]string{"a": "1 of web: 3 3 3"})

		going := web("b", 2, 0)
		going.Status.ObservedGeneration = 1
		r.update(going)
		r.wrote("Until members report there are no numbers.", "create replicasets")
		r.update(web("b", 2, 2))
		r.wrote("Nothing is left of the old one, which asks for none; numbers wait.", "update replicasets")
		r.update(web("b", 2, 0))
		r.wrote("Numbers are written when the rollout is over, of both.", "update replicasets/status", "update replicasets/status")
		r.has("The old record is kept.", map[string]string{"a": "1 of web: 0 0 0", "b": "2 of web: 3 3 3"})

		r.update(web("b", 2, 0))
		time.Sleep(time.Hour)
		r.wrote("A change that concerns no record writes nothing, nor does time.")

		r.update(web("a", 3, 0))
		r.has("What is current again has the highest number.", map[string]string{"a": "3 of web: 3 3 3", "b": "2 of web: 0 0 0"})
	})
}

// TestManyAtOnce has the records of many Deployments that are created together wait, so
// that the Deployments are placed first.
func TestManyAtOnce(t *testing.T) {
	run(t, nil, func(r *rig) {
		const many = 80
		recorded := func() int {
			list, err := r.fleet.AppsV1().ReplicaSets("shop").List(r.Context(), metav1.ListOptions{})
			if err != nil {
				r.Fatal(err)
			}
			return len(list.Items)
		}
		r.change(func(ctx context.Context) error {
			for n := range many {
				deployment := web("a", 1, 3)
				deployment.Name, deployment.UID = fmt.Sprintf("web-%d", n), types.UID(fmt.Sprintf("web-%d", n))
				if _, err := r.fleet.AppsV1().Deployments("shop").Create(ctx, deployment, metav1.CreateOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
		if got := recorded(); got == 0 || got > many/4 {
			r.Errorf("the first are recorded promptly, the others wait: got %d", got)
		}
		for _, image := range []string{"b", "c"} {
			changed := web(image, int64(image[0]-'a')+1, 3)
			changed.Name, changed.UID = "web-79", "web-79"
			before := recorded()
			if _, err := r.fleet.AppsV1().Deployments("shop").Update(r.Context(), changed, metav1.UpdateOptions{}); err != nil {
				r.Fatal(err)
			}
			synctest.Wait()
			if got := recorded(); got <= before {
				r.Errorf("what a user changes is recorded at once: got %d records, and %d before", got, before)
			}
		}
		const changes = 2
		time.Sleep(longestDelay)
		synctest.Wait()
		if got := recorded(); got != many-1+changes {
			r.Errorf("a little later all are recorded: got %d, want %d", got, many-1+changes)
		}
	})
}

// TestNumbersAtOnce deletes nothing too early: who sees that a rollout is over may delete
// the Deployment and keep its ReplicaSet, with the numbers that has by then.
func TestNumbersAtOnce(t *testing.T) {
	run(t, []runtime.Object{web("a", 1, 3)}, func(r *rig) {
		time.Sleep(2 * statusPeriod)
		synctest.Wait()
		r.writes()
		if _, err := r.fleet.AppsV1().Deployments("shop").Update(r.Context(), web("a", 1, 0), metav1.UpdateOptions{}); err != nil {
			r.Fatal(err)
		}
		synctest.Wait()
		r.wrote("The rollout is over.", "update replicasets/status")
	})
}

// TestRevisionNumber has the Deployment itself say which revision it is of.
func TestRevisionNumber(t *testing.T) {
	run(t, []runtime.Object{web("a", 1, 0)}, func(r *rig) {
		says := func(reason, want string) {
			r.Helper()
			got, err := r.fleet.AppsV1().Deployments("shop").Get(r.Context(), "web", metav1.GetOptions{})
			if err != nil {
				r.Fatal(err)
			}
			if number := got.Annotations[deploymentutil.RevisionAnnotation]; number != want {
				r.Errorf("\n%s\nwant revision %q, got %q", reason, want, number)
			}
		}
		says("A Deployment says its revision, as in a cluster.", "1")
		r.update(web("b", 2, 0))
		says("Another Pod template is another revision, and who replaces the object takes nothing away.", "2")
		r.update(web("a", 3, 0))
		says("What is current again has the highest number.", "3")
		paused := web("c", 4, 0)
		paused.Spec.Paused, paused.Annotations = true, map[string]string{deploymentutil.RevisionAnnotation: "3"}
		r.update(paused)
		says("While paused a template is no revision yet.", "3")
	})
}

func TestNumbersOfARollout(t *testing.T) {
	run(t, []runtime.Object{web("a", 1, 0)}, func(r *rig) {
		r.settle()
		r.writes()
		r.update(web("a", 1, 3))
		r.update(web("a", 1, 2))
		r.wrote("While something goes on, numbers wait for more.")
		time.Sleep(statusPeriod)
		r.wrote("They are written together.", "update replicasets/status")
		r.has("They are the last ones.", map[string]string{"a": "1 of web: 3 3 1"})
		time.Sleep(time.Hour)
		r.wrote("And are written once.")
	})
}

func TestDeploymentGone(t *testing.T) {
	going := web("a", 1, 0)
	going.DeletionTimestamp, going.Finalizers = &metav1.Time{Time: time.Now()}, []string{"foregroundDeletion"}
	run(t, []runtime.Object{going}, func(r *rig) {
		r.settle()
		r.wrote("A Deployment that is being deleted gets no new record.")
	})
}

// record is a ReplicaSet of the Deployment's that somebody owns, or nobody.
func recordOf(owner string) *appsv1.ReplicaSet {
	template := podTemplate("a")
	template.Labels["pod-template-hash"] = "x"
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web-x", UID: "web-x", Generation: 1,
			Labels:      map[string]string{"app": "web", "pod-template-hash": "x", wellknown.LabelRevision: "s"},
			Annotations: map[string]string{"deployment.kubernetes.io/revision": "1"},
		},
		Spec:   appsv1.ReplicaSetSpec{Replicas: new(int32(3)), Selector: selector, Template: template},
		Status: appsv1.ReplicaSetStatus{ObservedGeneration: 1, Replicas: 3, FullyLabeledReplicas: 3, ReadyReplicas: 3, AvailableReplicas: 3},
	}
	if owner != "" {
		rs.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: types.UID(owner), Controller: new(true)}}
	}
	return rs
}

func TestClaim(t *testing.T) {
	users := recordOf("")
	delete(users.Labels, wellknown.LabelRevision)
	cases := map[string]struct {
		reason string
		set    *appsv1.ReplicaSet
		want   []string
	}{
		"Owned":    {reason: "What is there already is not written again.", set: recordOf("web")},
		"Orphaned": {reason: "A record that an orphaning deletion left behind is adopted.", set: recordOf(""), want: []string{"patch replicasets"}},
		"Users":    {reason: "A ReplicaSet that runs by itself is left alone.", set: users, want: []string{"create replicasets", "update replicasets/status"}},
		"Earlier":  {reason: "So is a record of another Deployment of that name.", set: recordOf("other"), want: []string{"create replicasets", "update replicasets/status"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run(t, []runtime.Object{web("a", 1, 0), tc.set}, func(r *rig) {
				r.settle()
				r.wrote(tc.reason, tc.want...)
			})
		})
	}
}

// TestTakenName has the name of a record be that of something else.
func TestTakenName(t *testing.T) {
	named := func(r *rig) string {
		list, err := r.fleet.AppsV1().ReplicaSets("shop").List(r.Context(), metav1.ListOptions{LabelSelector: wellknown.LabelRevision})
		if err != nil || len(list.Items) != 1 {
			r.Fatalf("want one record, got %v, %v", list, err)
		}
		return list.Items[0].Name
	}
	var name string
	run(t, []runtime.Object{web("a", 1, 0)}, func(r *rig) { name = named(r) })

	t.Run("ByAnother", func(t *testing.T) {
		other := recordOf("")
		other.Name, other.Labels = name, map[string]string{"app": "web"}
		run(t, []runtime.Object{web("a", 1, 0), other}, func(r *rig) {
			if got := named(r); got == name {
				t.Errorf("\nThe record gets another name.\ngot %q", got)
			}
		})
	})
	t.Run("ByAnEarlierOne", func(t *testing.T) {
		earlier := recordOf("other")
		earlier.Name = name
		run(t, []runtime.Object{web("a", 1, 0), earlier}, func(r *rig) {
			time.Sleep(time.Minute)
			r.wrote("The name is waited for, without asking again and again.")
			r.change(func(ctx context.Context) error {
				return r.fleet.AppsV1().ReplicaSets("shop").Delete(ctx, name, metav1.DeleteOptions{})
			})
			if got := named(r); got != name {
				t.Errorf("\nThe record gets its name when the earlier one is gone.\nwant %q, got %q", name, got)
			}
		})
	})
}

func TestWorkloads(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web"}
	cases := map[string]struct {
		reason string
		object runtime.Object
		update func(ctx context.Context, r *rig, image string) error
	}{
		"StatefulSet": {
			reason: "A StatefulSet's Pod templates are recorded.",
			object: &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: podTemplate("a"), RevisionHistoryLimit: new(int32(1))}},
			update: func(ctx context.Context, r *rig, image string) error {
				set := &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: podTemplate(image), RevisionHistoryLimit: new(int32(1))}}
				_, err := r.fleet.AppsV1().StatefulSets("shop").Update(ctx, set, metav1.UpdateOptions{})
				return err
			},
		},
		"DaemonSet": {
			reason: "A DaemonSet's Pod templates are recorded.",
			object: &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: podTemplate("a"), RevisionHistoryLimit: new(int32(1))}},
			update: func(ctx context.Context, r *rig, image string) error {
				set := &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: podTemplate(image), RevisionHistoryLimit: new(int32(1))}}
				_, err := r.fleet.AppsV1().DaemonSets("shop").Update(ctx, set, metav1.UpdateOptions{})
				return err
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run(t, []runtime.Object{tc.object}, func(r *rig) {
				become := func(image string) {
					r.change(func(ctx context.Context) error { return tc.update(ctx, r, image) })
				}
				r.settle()
				r.wrote(tc.reason, "create controllerrevisions")
				become("a")
				r.wrote("Each once.")
				become("b")
				r.wrote("The next one as well.", "create controllerrevisions")
				become("a")
				r.wrote("One that comes back gets a new number.", "update controllerrevisions")
				become("c")
				r.wrote("The oldest goes.", "create controllerrevisions", "delete controllerrevisions")
			})
		})
	}
}
