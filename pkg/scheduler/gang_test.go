// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// message is what the condition Scheduled of a template says while it is not.
func (h *harness) message(key template.Key) string {
	binding := h.store.of(key)
	if binding == nil {
		return ""
	}
	condition := meta.FindStatusCondition(binding.GetStatus().Conditions, workv1alpha1.ConditionScheduled)
	if condition == nil || condition.Status == metav1.ConditionTrue {
		return ""
	}
	return condition.Reason + ": " + condition.Message
}

func gang(placement policyv1alpha1.Placement) policyv1alpha1.Placement {
	placement.Gang = &policyv1alpha1.GangPlacement{}
	return placement
}

func TestGang(t *testing.T) {
	duplicated := policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{ReplicaSchedulingType: policyv1alpha1.Duplicated}}
	weighted := policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
		ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: policyv1alpha1.Weighted,
	}}
	auto := policyv1alpha1.Placement{Auto: &policyv1alpha1.AutoPlacement{}}
	cases := map[string]struct {
		reason    string
		placement policyv1alpha1.Placement
		replicas  int32
		set       bool // a StatefulSet
		want      string
		message   string
	}{
		"AutoFits":     {reason: "All have room.", placement: gang(auto), replicas: 12, want: "m1=8 m2=4"},
		"AutoTooMany":  {reason: "Without room for all none goes anywhere.", placement: gang(auto), replicas: 13, message: "Unschedulable: 2/2 clusters are available: not enough capacity for 13 more replicas"},
		"NoGang":       {reason: "Otherwise the rest waits in members.", placement: auto, replicas: 13, want: "m1=9 m2=4"},
		"OneMember":    {reason: "What goes to one member has room there as a whole.", placement: gang(auto), set: true, replicas: 8, want: "m1=8"},
		"NoOneMember":  {reason: "None has room for all, though all together have.", placement: gang(auto), set: true, replicas: 9, message: "NoClusterFit: 0/2 clusters are available: 2 had no room for all of its pods together"},
		"Duplicated":   {reason: "Members without room for all get none.", placement: gang(duplicated), replicas: 6, want: "m1"},
		"Weighted":     {reason: "The weights give m2 more than it has room for.", placement: gang(weighted), replicas: 10, message: "Unschedulable: 2/2 clusters are available: not enough capacity for 5 more replicas"},
		"WeightedFits": {reason: "Each part fits.", placement: gang(weighted), replicas: 8, want: "m1=4 m2=4"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.member("m1", pods(8))
				h.member("m2", pods(4))
				var key template.Key
				if tc.set {
					h.clusterPolicy("mine", "apps/v1", "StatefulSet", tc.placement)
					key = h.create(statefulSet("web", tc.replicas))
				} else {
					h.clusterPolicy("mine", "apps/v1", "Deployment", tc.placement)
					key = h.create(deployment("web", tc.replicas))
				}
				h.settle()
				h.want(key, tc.want, tc.reason)
				if got := h.message(key); got != tc.message {
					t.Errorf("\n%s\nmessage: want %q, got %q", tc.reason, tc.message, got)
				}
			})
		})
	}
}

func TestGangWaits(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1", pods(4))
		h.clusterPolicy("mine", "apps/v1", "Deployment", gang(policyv1alpha1.Placement{Auto: &policyv1alpha1.AutoPlacement{}}))
		web := h.create(deployment("web", 6))
		h.settle()
		h.want(web, "", "There is no room for all.")

		h.member("m1", pods(6))
		time.Sleep(time.Minute)
		h.settle()
		h.want(web, "m1=6", "Room for all places all.")

		time.Sleep(time.Hour)
		h.member("m1", pods(1))
		h.create(deployment("web", 8))
		h.settle()
		h.want(web, "m1=6", "Of two more one would fit: none is added, and what runs stays.")

		h.member("m1", pods(2))
		time.Sleep(time.Minute)
		h.settle()
		h.want(web, "m1=8", "Both fit.")
	})
}

// ray stores a custom resource with a head and workers.
func (h *harness) ray(name string, workers int32) template.Key {
	h.t.Helper()
	cpu := func(cpus string) *workv1alpha1.ReplicaRequirements {
		return &workv1alpha1.ReplicaRequirements{Namespace: "shop", ResourceRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpus)}}
	}
	kind := schema.GroupVersionKind{Group: "ray.io", Version: "v1", Kind: "RayCluster"}
	return h.put(kind, &metav1.ObjectMeta{Namespace: "shop", Name: name}, template.Traits{Workload: &template.Workload{Components: []workv1alpha1.Component{
		{Name: "head", Replicas: 1, ReplicaRequirements: cpu("4")},
		{Name: "worker", Replicas: workers, ReplicaRequirements: cpu("2")},
	}}})
}

func cpus(n int64) memberOption {
	return func(c *clusterv1alpha1.Cluster) {
		c.Status.Capacity.Classes[0].Free[0].Resources[corev1.ResourceCPU] = *resource.NewQuantity(n, resource.DecimalSI)
	}
}

func TestComponents(t *testing.T) {
	divided := byRoom()
	cases := map[string]struct {
		reason    string
		placement policyv1alpha1.Placement
		workers   int32
		want      string
		message   string
	}{
		"Auto":       {reason: "The set goes where all of it fits, though the other has room for most.", placement: policyv1alpha1.Placement{Auto: &policyv1alpha1.AutoPlacement{}}, workers: 3, want: "m2"},
		"Roomiest":   {reason: "Of two that have room the one that has room for more sets is taken.", placement: divided, workers: 1, want: "m2"},
		"Divided":    {reason: "It cannot be divided, so it goes to one member.", placement: divided, workers: 3, want: "m2"},
		"Duplicated": {reason: "Every member that has room for the set gets it.", placement: policyv1alpha1.Placement{}, workers: 1, want: "m1 m2"},
		"TooLarge": {
			reason: "Half of a set helps nobody.", placement: divided, workers: 9,
			message: "NoClusterFit: 0/2 clusters are available: 2 had no room for all of its pods together",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.fleet.define(schema.GroupVersionKind{Group: "ray.io", Version: "v1", Kind: "RayCluster"}, "rayclusters", true)
				h.member("m1", cpus(9), serving("ray.io/v1", "RayCluster"))
				h.member("m2", cpus(13), serving("ray.io/v1", "RayCluster"))
				h.clusterPolicy("mine", "ray.io/v1", "RayCluster", tc.placement)
				key := h.ray("train", tc.workers)
				h.settle()
				h.want(key, tc.want, tc.reason)
				if got := h.message(key); got != tc.message {
					t.Errorf("\n%s\nmessage: want %q, got %q", tc.reason, tc.message, got)
				}
				if binding := h.store.of(key); tc.want != "" && len(binding.GetSpec().Components) != 2 {
					t.Errorf("components in the binding: want head and workers, got %v", binding.GetSpec().Components)
				}
			})
		})
	}
}

func TestComponentsArePromised(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.fleet.define(schema.GroupVersionKind{Group: "ray.io", Version: "v1", Kind: "RayCluster"}, "rayclusters", true)
		h.member("m1", cpus(9), serving("ray.io/v1", "RayCluster"))
		h.clusterPolicy("mine", "ray.io/v1", "RayCluster", byRoom())
		first := h.ray("first", 1)
		h.settle()
		second := h.ray("second", 1)
		h.settle()
		h.want(first, "m1", "It has room.")
		h.want(second, "", "The first one takes the room, though no report shows it yet.")

		h.member("m1", cpus(12), serving("ray.io/v1", "RayCluster"))
		time.Sleep(time.Minute)
		h.settle()
		h.want(second, "m1", "It is placed once there is room.")

		h.member("m1", cpus(0), serving("ray.io/v1", "RayCluster"))
		h.ray("second", 5)
		h.settle()
		h.want(second, "m1", "What runs stays where it is, also when it grows.")
	})
}
