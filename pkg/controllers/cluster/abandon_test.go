// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// place makes a binding of each scope and returns what reads their specs.
func (r *rig) place(spec workv1alpha1.BindingSpec) func() []workv1alpha1.BindingSpec {
	r.t.Helper()
	bindings := r.fleet.WorkV1alpha1().ResourceBindings("default")
	clusterBindings := r.fleet.WorkV1alpha1().ClusterResourceBindings()
	if _, err := bindings.Create(r.ctx, &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Name: "x-deployment", Namespace: "default"}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
	if _, err := clusterBindings.Create(r.ctx, &workv1alpha1.ClusterResourceBinding{ObjectMeta: metav1.ObjectMeta{Name: "x-clusterrole"}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
	return func() []workv1alpha1.BindingSpec {
		r.t.Helper()
		namespaced, err := bindings.Get(r.ctx, "x-deployment", metav1.GetOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		clustered, err := clusterBindings.Get(r.ctx, "x-clusterrole", metav1.GetOptions{})
		if err != nil {
			r.t.Fatal(err)
		}
		return []workv1alpha1.BindingSpec{namespaced.Spec, clustered.Spec}
	}
}

func (r *rig) wantSpecs(reason string, want workv1alpha1.BindingSpec, got []workv1alpha1.BindingSpec) {
	r.t.Helper()
	for i := range got {
		if diff := cmp.Diff(want, got[i], cmpopts.EquateEmpty()); diff != "" {
			r.t.Errorf("\n%s\nspec: -want, +got:\n%s", reason, diff)
		}
	}
}

func TestForcedUnjoin(t *testing.T) {
	run(t, func(r *rig) {
		r.join("m1")
		r.join("m2")
		left := workv1alpha1.BindingSpec{
			Resource:   workv1alpha1.ObjectReference{Name: "x", UID: "u"},
			Clusters:   []workv1alpha1.TargetCluster{{Name: "m2"}},
			Tombstones: []workv1alpha1.Tombstone{{ClusterName: "m2", UID: "old"}},
		}
		placed := left.DeepCopy()
		placed.Clusters = append([]workv1alpha1.TargetCluster{{Name: "m1"}}, placed.Clusters...)
		placed.Tombstones = append([]workv1alpha1.Tombstone{{ClusterName: "m1", UID: "old"}}, placed.Tombstones...)
		specs := r.place(*placed)
		r.pass(time.Second)

		// To keep the objects makes tombstones, which only the member confirms.
		r.delete("m1", map[string]string{wellknown.AnnotationUnjoinKeepObjects: "true"})
		r.pass(time.Hour)
		r.wantUnjoining("A member that is dead is waited for.", "m1", "ReleasingObjects")
		r.events()

		cluster := r.cluster("m1")
		cluster.Annotations[wellknown.AnnotationUnjoinForce] = "true"
		if _, err := r.fleet.ClusterV1alpha1().Clusters().Update(r.ctx, cluster, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.wantGone("m1")
		r.wantSpecs("Nothing of the member stays in bindings, everything of others does.", left, specs())
		r.wantEvents("It is said what that may have cost.",
			"Warning ObjectsMayRemain Unjoined by force: 4 objects may be left on the member, which has not confirmed that they are released",
			"Normal ObjectsReleased Nothing of the fleet is left to release on this member; its namespace fleet-cluster-m1 is being deleted",
			"Normal Unjoined The member has left the fleet")
		for _, action := range r.fleet.Actions() {
			if action.GetVerb() == "patch" && action.GetSubresource() != "tombstones" {
				t.Errorf("\nTombstones are taken away where that is a right of its own.\naction: %v", action)
			}
		}
	})
}

func TestTombstonesOfNobody(t *testing.T) {
	run(t, func(r *rig) {
		r.join("m1")
		r.pass(time.Second)
		left := workv1alpha1.BindingSpec{
			Resource:   workv1alpha1.ObjectReference{Name: "x", UID: "u"},
			Clusters:   []workv1alpha1.TargetCluster{{Name: "m1"}},
			Tombstones: []workv1alpha1.Tombstone{{ClusterName: "m1", UID: "old"}},
		}
		placed := left.DeepCopy()
		placed.Clusters = append(placed.Clusters, workv1alpha1.TargetCluster{Name: "gone"})
		placed.Tombstones = append(placed.Tombstones, workv1alpha1.Tombstone{ClusterName: "gone", UID: "old"})
		left.Clusters = placed.Clusters // which the scheduler puts right
		specs := r.place(*placed)
		r.pass(2 * time.Second)
		r.wantSpecs("Tombstones of a Cluster that does not exist go, those of others stay.", left, specs())
	})
}

// TestTombstonesOfTheUnseen has a Cluster that the informer does not show yet.
func TestTombstonesOfTheUnseen(t *testing.T) {
	run(t, func(r *rig) {
		r.fleet.PrependReactor("get", "clusters", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, nil
		})
		placed := workv1alpha1.BindingSpec{
			Resource:   workv1alpha1.ObjectReference{Name: "x", UID: "u"},
			Tombstones: []workv1alpha1.Tombstone{{ClusterName: "new", UID: "old"}},
		}
		specs := r.place(placed)
		r.pass(time.Minute)
		r.wantSpecs("A cache that is behind decides nothing.", placed, specs())
	})
}

// TestUnjoinListsLive has a binding that the informers do not show yet when all
// they show is gone.
func TestUnjoinListsLive(t *testing.T) {
	run(t, func(r *rig) {
		r.join("m1")
		r.pass(time.Second)
		hidden := &workv1alpha1.ResourceBindingList{Items: []workv1alpha1.ResourceBinding{{
			Spec: workv1alpha1.BindingSpec{Tombstones: []workv1alpha1.Tombstone{{ClusterName: "m1", UID: "u"}}},
		}}}
		show := true
		r.fleet.PrependReactor("list", "resourcebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
			return show, hidden.DeepCopy(), nil
		})
		r.delete("m1", nil)
		r.pass(time.Minute)
		if !r.hasNamespace("fleet-cluster-m1") {
			t.Error("\nWorks are served as long as any binding, seen or not, waits for the member.")
		}
		show = false
		r.wantGone("m1")
	})
}
