// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// rig is a running controller on fake API servers, in a bubble of fake time.
type rig struct {
	t     *testing.T
	ctx   context.Context
	kube  *kubefake.Clientset
	fleet *fleetfake.Clientset
	// recorded are the Events that nobody looked at yet.
	recorded chan string
}

// run starts the controller, hands the rig to test, and stops everything.
func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &rig{
			t: t, ctx: ctx,
			kube:  kubefake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "fleet-id"}}),
			fleet: fleetfake.NewClientset(), recorded: make(chan string, 1000),
		}
		kubeInformers := informers.NewSharedInformerFactory(r.kube, 0)
		fleetFactory := fleetinformers.NewSharedInformerFactoryWithOptions(r.fleet, 0, fleetinformers.WithTransform(Trim))
		controller, err := New(Dependencies{
			KubeClient: r.kube, FleetClient: r.fleet, KubeInformers: kubeInformers, FleetInformers: fleetFactory,
			Recorder: &record.FakeRecorder{Events: r.recorded}, Clock: clock.RealClock{},
		})
		if err != nil {
			t.Fatal(err)
		}
		kubeInformers.Start(ctx.Done())
		fleetFactory.Start(ctx.Done())
		done := make(chan struct{})
		go func() { defer close(done); controller.Run(ctx) }()

		// Fakes hand their own objects, not copies, to an informer that still
		// lists, and Trim would change those.
		r.pass(time.Second)
		test(r)

		cancel()
		<-done
		kubeInformers.Shutdown()
		fleetFactory.Shutdown()
	})
}

// pass lets time pass until everything has settled.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// events returns the Events since it was last called.
func (r *rig) events() []string {
	var all []string
	for {
		select {
		case event := <-r.recorded:
			all = append(all, event)
		default:
			return all
		}
	}
}

func (r *rig) wantEvents(reason string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.events()); diff != "" {
		r.t.Errorf("\n%s\nevents: -want, +got:\n%s", reason, diff)
	}
}

func (r *rig) join(name string) {
	r.t.Helper()
	cluster := &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "member-uid"},
		Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Push},
	}
	if _, err := r.fleet.ClusterV1alpha1().Clusters().Create(r.ctx, cluster, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// report does what a syncer does: it sets Ready and renews the lease.
func (r *rig) report(name string, status metav1.ConditionStatus) {
	r.t.Helper()
	r.heartbeat(name)
	cluster := r.cluster(name)
	meta.SetStatusCondition(&cluster.Status.Conditions, metav1.Condition{
		Type: clusterv1alpha1.ClusterConditionReady, Status: status, Reason: "Reported" + string(status), Message: "so it says",
	})
	if _, err := r.fleet.ClusterV1alpha1().Clusters().UpdateStatus(r.ctx, cluster, metav1.UpdateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) heartbeat(name string) {
	r.t.Helper()
	leases := r.kube.CoordinationV1().Leases(clusterv1alpha1.MemberNamespace(name))
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: clusterv1alpha1.MemberNamespace(name)},
		Spec:       coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: time.Now()}},
	}
	_, err := leases.Update(r.ctx, lease, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(r.ctx, lease, metav1.CreateOptions{})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) cluster(name string) *clusterv1alpha1.Cluster {
	r.t.Helper()
	cluster, err := r.fleet.ClusterV1alpha1().Clusters().Get(r.ctx, name, metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return cluster
}

// delete does what an API server does for an object with a finalizer.
func (r *rig) delete(name string, annotations map[string]string) {
	r.t.Helper()
	cluster := r.cluster(name)
	now := metav1.Now()
	cluster.DeletionTimestamp, cluster.Annotations = &now, annotations
	if _, err := r.fleet.ClusterV1alpha1().Clusters().Update(r.ctx, cluster, metav1.UpdateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) hasNamespace(name string) bool {
	r.t.Helper()
	_, err := r.kube.CoreV1().Namespaces().Get(r.ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		r.t.Fatal(err)
	}
	return err == nil
}

// health is what the controller decides about a member.
type health struct {
	Ready  metav1.ConditionStatus
	Taints []string
}

func (r *rig) wantHealth(reason, name string, want health) {
	r.t.Helper()
	cluster := r.cluster(name)
	var got health
	if condition := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady); condition != nil {
		got.Ready = condition.Status
	}
	for _, taint := range cluster.Spec.Taints {
		got.Taints = append(got.Taints, taint.Key+":"+string(taint.Effect))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("\n%s\nhealth of %s: -want, +got:\n%s", reason, name, diff)
	}
}

// writes returns the verbs and resources written so far, reads left out.
func (r *rig) writes() []string {
	var all []string
	for _, action := range slices.Concat(r.kube.Actions(), r.fleet.Actions()) {
		if verb := action.GetVerb(); verb != "get" && verb != "list" && verb != "watch" {
			all = append(all, verb+" "+action.GetResource().Resource+"/"+action.GetSubresource())
		}
	}
	return all
}

func TestHealth(t *testing.T) {
	const (
		notReady    = "cluster.fleet.dev/not-ready:NoSchedule"
		unreachable = "cluster.fleet.dev/unreachable:NoSchedule"
	)
	run(t, func(r *rig) {
		r.join("m1")
		r.pass(time.Second)
		if !r.hasNamespace("fleet-cluster-m1") {
			t.Error("A member gets its namespace.")
		}
		if diff := cmp.Diff([]string{wellknown.FinalizerUnjoin}, r.cluster("m1").Finalizers); diff != "" {
			t.Errorf("\nDeletion is held back from the first moment.\nfinalizers: -want, +got:\n%s", diff)
		}
		r.wantHealth("A member that never reported takes nothing.", "m1", health{Taints: []string{notReady}})

		r.wantEvents("Why it takes nothing can be read.", "Normal Tainted Taint cluster.fleet.dev/not-ready keeps new templates away from the member")

		r.report("m1", metav1.ConditionTrue)
		r.pass(time.Second)
		r.wantHealth("A member that reports itself ready takes everything.", "m1", health{Ready: metav1.ConditionTrue})
		r.wantEvents("And that it is ready.",
			"Normal ReportedTrue The member is ready: so it says",
			"Normal TaintRemoved Taint cluster.fleet.dev/not-ready is gone: the member may take templates again")

		settled := len(r.writes())
		for range 30 {
			r.heartbeat("m1")
			settled++
			r.pass(10 * time.Second)
		}
		r.wantHealth("A member that renews its lease stays ready.", "m1", health{Ready: metav1.ConditionTrue})
		if writes := r.writes()[settled:]; len(writes) > 0 {
			t.Errorf("\nHeartbeats cause no writes.\nwrites: %v", writes)
		}
		r.wantEvents("And no Events.")

		r.pass(LeaseGrace - 11*time.Second)
		r.wantHealth("Nothing happens before the grace is over.", "m1", health{Ready: metav1.ConditionTrue})
		r.pass(2 * time.Second)
		r.wantHealth("A lost member takes nothing new.", "m1", health{Ready: metav1.ConditionUnknown, Taints: []string{unreachable}})

		r.wantEvents("It is said once that it is lost.",
			"Warning ClusterStatusUnknown The member is lost: the syncer of this member has not renewed its lease for 35s",
			"Normal Tainted Taint cluster.fleet.dev/unreachable keeps new templates away from the member")

		settled = len(r.writes())
		r.pass(time.Hour)
		if writes := r.writes()[settled:]; len(writes) > 0 {
			t.Errorf("\nA lost member causes no writes while it is lost.\nwrites: %v", writes)
		}

		r.wantEvents("And no Events.")

		r.report("m1", metav1.ConditionFalse)
		r.pass(time.Second)
		r.wantHealth("A member that is back but not ready takes nothing yet.", "m1", health{Ready: metav1.ConditionFalse, Taints: []string{notReady}})

		r.report("m1", metav1.ConditionTrue)
		r.pass(time.Second)
		r.wantHealth("A member that recovered takes everything.", "m1", health{Ready: metav1.ConditionTrue})
	})
}

// TestFlapping has a member come and go: each loss taints it at once, and it is
// trusted again later and later.
func TestFlapping(t *testing.T) {
	const notReady = "cluster.fleet.dev/not-ready:NoSchedule"
	run(t, func(r *rig) {
		r.join("m1")
		r.pass(time.Second)
		r.report("m1", metav1.ConditionTrue)
		r.pass(time.Second)
		for _, step := range []struct {
			reason string
			hold   time.Duration
		}{
			{"The first loss is forgiven at once.", 0},
			{"The second costs ten seconds.", 10 * time.Second},
			{"Each further one five more.", 15 * time.Second},
		} {
			r.report("m1", metav1.ConditionFalse)
			r.pass(time.Second)
			r.wantHealth("A loss taints at once.", "m1", health{Ready: metav1.ConditionFalse, Taints: []string{notReady}})
			r.report("m1", metav1.ConditionTrue)
			if step.hold > 0 {
				r.pass(step.hold - time.Second)
				r.wantHealth(step.reason, "m1", health{Ready: metav1.ConditionTrue, Taints: []string{notReady}})
			}
			r.pass(2 * time.Second)
			r.wantHealth(step.reason, "m1", health{Ready: metav1.ConditionTrue})
		}
		for range 60 {
			r.heartbeat("m1")
			r.pass(11 * time.Second)
		}
		r.report("m1", metav1.ConditionFalse)
		r.pass(time.Second)
		r.report("m1", metav1.ConditionTrue)
		r.pass(time.Second)
		r.wantHealth("After ten quiet minutes the losses are forgotten.", "m1", health{Ready: metav1.ConditionTrue})
	})
}

// TestSyncerAccess lets the syncer read the credentials of members in Push mode,
// one namespace each.
func TestSyncerAccess(t *testing.T) {
	run(t, func(r *rig) {
		r.join("m1")
		pull := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m2"}, Spec: clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull}}
		if _, err := r.fleet.ClusterV1alpha1().Clusters().Create(r.ctx, pull, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		bindings := func() []string {
			r.pass(time.Second)
			list, err := r.kube.RbacV1().RoleBindings("").List(r.ctx, metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, b := range list.Items {
				names = append(names, b.Namespace+"/"+b.Name+" "+b.RoleRef.Name+" to "+b.Subjects[0].Name)
			}
			return names
		}
		want := []string{"fleet-cluster-m1/system:fleet:syncer:credentials system:fleet:syncer:credentials to system:fleet:syncer"}
		if diff := cmp.Diff(want, bindings()); diff != "" {
			t.Errorf("\nThe credentials of a member in Push mode are readable, and there are none of one in Pull mode.\nbindings: -want, +got:\n%s", diff)
		}
		if err := r.kube.RbacV1().RoleBindings("fleet-cluster-m1").Delete(r.ctx, wellknown.RoleCredentials, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, bindings()); diff != "" {
			t.Errorf("\nOne that is deleted is made again.\nbindings: -want, +got:\n%s", diff)
		}
	})
}

func TestNamespaceIsMadeAgain(t *testing.T) {
	run(t, func(r *rig) {
		r.join("m1")
		r.pass(time.Second)
		if err := r.kube.CoreV1().Namespaces().Delete(r.ctx, "fleet-cluster-m1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Second)
		if !r.hasNamespace("fleet-cluster-m1") {
			t.Error("The namespace of a joined member is made again when somebody deletes it.")
		}
	})
}

func TestUnjoin(t *testing.T) {
	for name, tc := range map[string]struct {
		reason      string
		annotations map[string]string
		orphan      bool
	}{
		"Delete": {reason: "Without further words the member's objects are deleted, by tombstones the registry makes."},
		"Keep": {
			reason:      "Objects that are to be kept get tombstones that release them.",
			annotations: map[string]string{wellknown.AnnotationUnjoinKeepObjects: "true"},
			orphan:      true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(r *rig) { testUnjoin(r, tc.reason, tc.annotations, tc.orphan) })
		})
	}
}

func testUnjoin(r *rig, reason string, annotations map[string]string, orphan bool) {
	t := r.t
	r.join("m1")
	placed := workv1alpha1.BindingSpec{
		Resource: workv1alpha1.ObjectReference{Name: "x", UID: "u"},
		Clusters: []workv1alpha1.TargetCluster{{Name: "m1"}, {Name: "m2"}},
	}
	bindings := r.fleet.WorkV1alpha1().ResourceBindings("default")
	clusterBindings := r.fleet.WorkV1alpha1().ClusterResourceBindings()
	if _, err := bindings.Create(r.ctx, &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Name: "x-deployment", Namespace: "default"}, Spec: placed}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := clusterBindings.Create(r.ctx, &workv1alpha1.ClusterResourceBinding{ObjectMeta: metav1.ObjectMeta{Name: "x-clusterrole"}, Spec: placed}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Second)
	r.delete("m1", annotations)
	r.pass(time.Second)

	namespaced, err := bindings.Get(r.ctx, "x-deployment", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clustered, err := clusterBindings.Get(r.ctx, "x-clusterrole", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := placed.DeepCopy()
	want.Clusters = []workv1alpha1.TargetCluster{{Name: "m2"}}
	if orphan {
		want.Tombstones = []workv1alpha1.Tombstone{{ClusterName: "m1", UID: "u", Orphan: true}}
	}
	for _, binding := range []workv1alpha1.Binding{namespaced, clustered} {
		if diff := cmp.Diff(want, binding.GetSpec()); diff != "" {
			t.Errorf("\n%s\nspec of %s: -want, +got:\n%s", reason, binding.GetName(), diff)
		}
	}
	if !orphan {
		// There is no registry here to make tombstones: nothing waits for the member.
		r.wantGone("m1")
		return
	}

	r.wantUnjoining("The Cluster waits for the member.", "m1", "ReleasingObjects")
	if !r.hasNamespace("fleet-cluster-m1") {
		t.Error("Works are served until the member has confirmed.")
	}
	r.pass(time.Hour)
	r.wantUnjoining("However long that takes.", "m1", "ReleasingObjects")

	namespaced.Spec.Tombstones, clustered.Spec.Tombstones = nil, nil // the member confirms
	if _, err := bindings.Update(r.ctx, namespaced, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Second)
	r.wantUnjoining("And for each of its objects.", "m1", "ReleasingObjects")
	if _, err := clusterBindings.Update(r.ctx, clustered, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r.wantGone("m1")
}

func (r *rig) wantUnjoining(reason, name, want string) {
	r.t.Helper()
	condition := meta.FindStatusCondition(r.cluster(name).Status.Conditions, clusterv1alpha1.ClusterConditionUnjoining)
	if condition == nil || condition.Reason != want {
		r.t.Errorf("\n%s\nwant condition Unjoining with reason %s, got %+v", reason, want, condition)
	}
}

func (r *rig) wantGone(name string) {
	r.t.Helper()
	r.pass(2 * time.Second)
	if r.hasNamespace(clusterv1alpha1.MemberNamespace(name)) {
		r.t.Error("\nThe namespace of a member that left is removed.")
	}
	if finalizers := r.cluster(name).Finalizers; len(finalizers) > 0 {
		r.t.Errorf("\nNothing holds the Cluster any longer.\nfinalizers: %v", finalizers)
	}
}
