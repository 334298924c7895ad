// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/policy"
)

// byRoom divides by capacity among the members of the affinities.
func byRoom(terms ...policyv1alpha1.ClusterAffinityTerm) policyv1alpha1.Placement {
	return policyv1alpha1.Placement{
		ClusterAffinities: terms,
		ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
			ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: policyv1alpha1.Weighted,
			WeightPreference: &policyv1alpha1.ClusterPreferences{DynamicWeight: policyv1alpha1.DynamicWeightByAvailableReplicas},
		},
	}
}

func named(names ...string) policyv1alpha1.ClusterAffinity {
	return policyv1alpha1.ClusterAffinity{ClusterNames: names}
}

func term(name string, affinity policyv1alpha1.ClusterAffinity, overflow ...policyv1alpha1.ClusterAffinity) policyv1alpha1.ClusterAffinityTerm {
	return policyv1alpha1.ClusterAffinityTerm{AffinityName: name, ClusterAffinity: affinity, OverflowAffinities: overflow}
}

func TestOverflow(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("burst", pods(100))
		h.member("own", pods(10))
		h.member("spare", pods(5))
		h.clusterPolicy("mine", "apps/v1", "Deployment", byRoom(term("home", named("own"), named("spare"), named("burst"))))
		web := h.create(deployment("web", 8))
		h.settle()
		h.want(web, "own=8", "What fits into the affinity stays there.")

		time.Sleep(time.Hour) // The promises to members have lapsed.
		h.member("own", pods(2))
		h.create(deployment("web", 20))
		h.settle()
		h.want(web, "burst=5 own=10 spare=5", "The rest goes to the overflow, in its order.")

		time.Sleep(time.Hour)
		h.member("own", pods(50))
		h.create(deployment("web", 21))
		h.settle()
		h.want(web, "burst=5 own=11 spare=5", "What overflowed stays, what is new goes where room is.")

		h.create(deployment("web", 13))
		h.settle()
		h.want(web, "own=11 spare=2 -burst", "The overflow is emptied first.")
	})
}

func TestOrderedAffinities(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1", pods(0))
		h.member("m2", pods(50))
		placement := byRoom(term("first", named("m1")), term("second", named("m2")))
		h.clusterPolicy("mine", "apps/v1", "Deployment", placement)
		web := h.create(deployment("web", 6))
		h.settle()
		h.want(web, "m2=6", "The first affinity has no room.")

		h.member("m1", pods(50))
		h.create(deployment("web", 8))
		h.settle()
		h.want(web, "m2=8", "Room in the first affinity moves nothing.")

		h.clusterPolicy("mine", "apps/v1", "Deployment", byRoom(term("first", named("m1"))))
		h.settle()
		h.want(web, "m1=8 !m2", "A policy that asks for something else does.")
	})
}

func TestStatefulSetIsDivided(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1", pods(20))
		h.member("m2", pods(20))
		h.member("m3", pods(0))
		h.clusterPolicy("mine", "apps/v1", "StatefulSet", byRoom())
		db := h.create(statefulSet("db", 6))
		h.settle()
		h.want(db, "m1=3 m2=3", "It is divided as other workloads are.")

		h.create(statefulSet("db", 8))
		h.settle()
		h.want(db, "m1=3 m2=5", "The last goes on counting, so that no Pod gets another number.")

		h.create(statefulSet("db", 2))
		h.settle()
		h.want(db, "m1=2 -m2", "The highest numbers go first.")
		h.store.confirm(db)

		h.member("m1", pods(0))
		h.create(statefulSet("db", 5))
		h.settle()
		h.want(db, "m1=2 m2=3", "Another member goes on where the last is full.")

		h.member("m1", leaving)
		h.store.drop(db, "m1")
		h.member("m3", pods(20))
		h.settle()
		h.want(db, "m2=5 -m1", "A member that is unjoined leaves its numbers to the others.")
	})
}

func TestJobIsDividedOnce(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1", pods(20))
		h.member("m2", pods(20))
		h.clusterPolicy("mine", "batch/v1", "Job", byRoom())
		object := job("import")
		object.Spec.Parallelism = ptr.To[int32](4)
		work := h.create(object)
		h.settle()
		h.want(work, "m1=2 m2=2", "The Pods that run at a time are divided.")

		changed := job("import")
		changed.Spec.Parallelism = ptr.To[int32](8)
		h.create(changed)
		h.settle()
		h.want(work, "m1=2 m2=2", "What is to complete where cannot change any more.")

		indexed := job("indexed")
		indexed.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		h.want(h.create(indexed), "none", "It waits to be decided about.")
		h.settle()
		h.want(h.create(indexed), "", "Two members would both have an index 0.")
	})
}

func TestWorkloadAffinity(t *testing.T) {
	grouped := func(name, group string) *batchv1.Job {
		object := job(name)
		object.Labels = map[string]string{"group": group}
		return object
	}
	inBubble(t, func(h *harness) {
		h.autoPolicy()
		h.member("m1")
		h.member("m2")
		h.member("m3")
		by := &policyv1alpha1.WorkloadAffinityTerm{GroupByLabelKey: "group"}
		one := []policyv1alpha1.SpreadConstraint{{SpreadByField: policyv1alpha1.SpreadByFieldCluster, MinGroups: 1, MaxGroups: 1}}
		h.clusterPolicy("together", "batch/v1", "Job", policyv1alpha1.Placement{
			SpreadConstraints: one, WorkloadAffinity: &policyv1alpha1.WorkloadAffinity{Affinity: by},
		})
		first := h.create(grouped("first", "a"))
		h.settle()
		h.want(first, "m1", "The first of a group goes anywhere.")
		h.member("m1", pods(10))
		h.want(h.create(grouped("other", "b")), "none", "It waits to be decided about.")
		second := h.create(grouped("second", "a"))
		h.settle()
		h.want(second, "m1", "The second goes there too, though others have more room.")

		h.clusterPolicy("together", "batch/v1", "Job", policyv1alpha1.Placement{
			SpreadConstraints: one, WorkloadAffinity: &policyv1alpha1.WorkloadAffinity{AntiAffinity: by},
		})
		third := h.create(grouped("third", "a"))
		fourth := h.create(grouped("fourth", "a"))
		fifth := h.create(grouped("fifth", "a"))
		h.settle()
		h.want(second, "m1", "What runs together stays.")
		h.want(third, "m3", "The next goes elsewhere.")
		h.want(fourth, "m2", "And the next.")
		h.want(fifth, "", "There is no fourth member.")

		h.member("m4")
		h.settle()
		h.want(fifth, "m4", "Until there is.")

		sixth := h.create(grouped("sixth", "a"))
		h.settle()
		h.want(sixth, "", "That is taken as well.")
		h.delete(third)
		h.settle()
		h.want(sixth, "m3", "One that goes makes place for another.")
	})
}

func TestDecidedAnew(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1", pods(20))
		h.member("m2", pods(0))
		h.clusterPolicy("mine", "apps/v1", "Deployment", byRoom())
		web := h.create(deployment("web", 12))
		h.settle()
		h.want(web, "m1=12", "There is room on one member only.")
		time.Sleep(time.Hour) // The promises to members have lapsed.
		h.member("m1", pods(0))
		h.member("m2", pods(12))
		h.settle()
		h.want(web, "m1=12", "Room elsewhere moves nothing by itself.")
		h.store.takeWrites()

		h.store.ask(web)
		h.settle()
		h.want(web, "m1=6 m2=6 !m1=6", "Somebody asked for it; the room of its own Pods counts.")
		h.settle()
		h.wantWrites(2, "Once: the decision, and when it was made.")
		h.member("m2", pods(100))
		h.settle()
		h.want(web, "m1=6 m2=6 !m1=6", "It is not decided anew again.")
		h.store.healthy(web, "m1", "m2")
		h.settle()
		h.want(web, "m1=6 m2=6", "The others run.")
		h.store.takeWrites()

		h.store.ask(web)
		h.member("m1", pods(0))
		h.settle()
		h.wantWrites(2, "Asked again, it is.")
	})
}

// TestAskedIsAnswered: who asks to decide anew learns what became of it, also when
// nothing did.
func TestAskedIsAnswered(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1", pods(5))
		h.clusterPolicy("mine", "apps/v1", "Deployment", byRoom())
		web := h.create(deployment("web", 12))
		h.settle()
		h.want(web, "", "It fits nowhere.")
		h.store.takeWrites()
		h.store.ask(web)
		h.settle()
		asked := h.store.of(web)
		condition := meta.FindStatusCondition(asked.GetStatus().Conditions, workv1alpha1.ConditionScheduled)
		if condition.Status != metav1.ConditionFalse || condition.ObservedGeneration != asked.GetGeneration() {
			t.Errorf("want the same complaint, about generation %d, got %+v", asked.GetGeneration(), condition)
		}
		if asked.GetStatus().LastScheduledTime != nil {
			t.Error("want no time when it was decided")
		}
		h.settle()
		h.wantWrites(1, "The complaint, once.")

		h.member("m1")
		h.settle()
		h.want(web, "m1=12", "There is room.")
		h.removePropagation(policy.Ref{Name: "mine"})
		h.settle()
		for range 2 {
			h.store.takeWrites()
			time.Sleep(time.Hour)
			h.store.ask(web)
			h.settle()
			asked = h.store.of(web)
			if asked.GetStatus().LastScheduledTime.Before(asked.GetSpec().RescheduleTriggeredAt) {
				t.Errorf("want the answer that it stays, not before %s, got %s", asked.GetSpec().RescheduleTriggeredAt, asked.GetStatus().LastScheduledTime)
			}
			h.settle()
			h.wantWrites(1, "The answer, once.")
		}
		h.want(web, "m1=12", "It stays.")
	})
}

// TestNamedNodes has Pods that name their node go to the member that has it.
func TestNamedNodes(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.autoPolicy()
		h.member("m1")
		h.member("m2", pods(1))
		on := func(name, node string) *corev1.Pod {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: podSpec()}
			pod.Spec.NodeName = node
			return pod
		}
		bound, late, nowhere := h.create(on("bound", "n1.m2")), h.create(on("late", "n1.m3")), h.create(on("nowhere", "n1"))
		selecting := job("selecting")
		selecting.Spec.Template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "n1.m2"}
		selects := h.create(selecting)
		h.settle()
		h.want(bound, "m2", "The member has the Node, though the other one has more room.")
		h.want(selects, "m2", "So it has for who selects it.")
		h.want(late, "", "No member has it.")
		h.want(nowhere, "", "There is no such Node in the fleet.")
		h.store.takeWrites()
		h.member("m3")
		h.settle()
		h.want(late, "m3", "The member joined.")
		h.want(bound, "m2", "It stays.")
		h.want(nowhere, "", "There still is none.")
	})
}
