// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

func resources(cpu, memory string, pods int64) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		corev1.ResourcePods: *resource.NewQuantity(pods, resource.DecimalSI),
	}
}

func aNode(t *testing.T, name string, change func(*corev1.Node)) *node {
	t.Helper()
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, "disk": "ssd"}},
		Status: corev1.NodeStatus{
			Allocatable: resources("4", "8Gi", 110),
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
	if change != nil {
		change(n)
	}
	cut, err := cutNode(n)
	if err != nil {
		t.Fatal(err)
	}
	return cut
}

func aPod(t *testing.T, node, cpu, memory string) *pod {
	t.Helper()
	requests := resources(cpu, memory, 0)
	delete(requests, corev1.ResourcePods)
	cut, err := cutPod(&corev1.Pod{Spec: corev1.PodSpec{
		NodeName: node, Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: requests}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return cut
}

var compareQuantities = cmp.Comparer(func(x, y resource.Quantity) bool { return x.Cmp(y) == 0 })

func TestSummarize(t *testing.T) {
	nodes := []*node{
		aNode(t, "a", nil), aNode(t, "b", nil), aNode(t, "c", nil),
		aNode(t, "gpu", func(n *corev1.Node) {
			n.Labels["gpu"] = "yes"
			n.Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule, TimeAdded: &metav1.Time{}}}
			n.Status.Allocatable["example.com/gpu"] = resource.MustParse("2")
		}),
		aNode(t, "lost", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }),
		aNode(t, "cordoned", func(n *corev1.Node) { n.Spec.Unschedulable = true }),
	}
	pods := []*pod{
		aPod(t, "a", "1500m", "1Gi"), aPod(t, "a", "500m", "1Gi"),
		aPod(t, "b", "2", "2000000k"), // not a whole number of MiB
		aPod(t, "gpu", "5", "1Gi"),    // more than there is
		aPod(t, "", "1", "1Gi"),
	}
	models := []clusterv1alpha1.ResourceModel{
		{Grade: 0, Ranges: []clusterv1alpha1.ResourceModelRange{{Name: corev1.ResourceCPU, Min: resource.MustParse("0"), Max: resource.MustParse("3")}}},
		{Grade: 1, Ranges: []clusterv1alpha1.ResourceModelRange{{Name: corev1.ResourceCPU, Min: resource.MustParse("3"), Max: resource.MustParse("6")}}},
	}
	got := summarize(nodes, pods, models)
	if got.nodes != (clusterv1alpha1.NodeSummary{TotalNum: 6, ReadyNum: 5}) {
		t.Errorf("nodes: %+v, want 6, 5 of them ready", got.nodes)
	}
	gpu := resources("16", "32Gi", 440)
	gpu["example.com/gpu"] = resource.MustParse("2")
	wantResources := clusterv1alpha1.ResourceSummary{
		Allocatable: gpu,
		Allocated:   resources("9", "5126Mi", 4),
		Allocating:  resources("1", "1Gi", 1),
		// gpu has nothing left and is of the lowest grade; c is free.
		AllocatableModelings: []clusterv1alpha1.AllocatableModeling{{Grade: 0, Count: 3}, {Grade: 1, Count: 1}},
	}
	// 1Gi + 1Gi + 2000000k + 1Gi, rounded down to MiB.
	wantResources.Allocated[corev1.ResourceMemory] = resource.MustParse("4979Mi")
	if diff := cmp.Diff(wantResources, got.resources, compareQuantities); diff != "" {
		t.Errorf("resources: -want +got:\n%s", diff)
	}
	left := resources("0", "7Gi", 109)
	left["example.com/gpu"] = resource.MustParse("2")
	wantClasses := map[string]clusterv1alpha1.CapacityClass{
		// The node that is lost and the one that is cordoned count, with nothing left.
		"": {Labels: map[string]string{"disk": "ssd"}, Nodes: 5, Free: []clusterv1alpha1.FreeCapacity{
			{Count: 1, Resources: resources("2", "6Gi", 108)},
			{Count: 1, Resources: resources("2", "6284Mi", 109)},
			{Count: 1, Resources: resources("4", "8Gi", 110)},
		}},
		"yes": {
			Labels: map[string]string{"disk": "ssd", "gpu": "yes"}, Taints: []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}},
			Nodes: 1, Free: []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: left}},
		},
	}
	gotClasses := map[string]clusterv1alpha1.CapacityClass{}
	for _, class := range got.capacity.Classes {
		class.Name = ""
		if class.Taints != nil && len(class.Taints) == 0 {
			class.Taints = nil
		}
		gotClasses[class.Labels["gpu"]] = class
	}
	sorted := cmp.Transformer("byCPU", func(free []clusterv1alpha1.FreeCapacity) map[string]clusterv1alpha1.FreeCapacity {
		byCPU := map[string]clusterv1alpha1.FreeCapacity{}
		for _, f := range free {
			byCPU[f.Resources.Cpu().String()+" "+f.Resources.Memory().String()] = f
		}
		return byCPU
	})
	if diff := cmp.Diff(wantClasses, gotClasses, compareQuantities, sorted); diff != "" {
		t.Errorf("classes: -want +got:\n%s", diff)
	}
}

func TestSummarizeIsStable(t *testing.T) {
	one := summarize([]*node{aNode(t, "a", nil), aNode(t, "b", nil)}, []*pod{aPod(t, "a", "1", "1Gi")}, nil)
	other := summarize([]*node{aNode(t, "b", nil), aNode(t, "a", nil)}, []*pod{aPod(t, "b", "1", "1Gi")}, nil)
	if diff := cmp.Diff(one.capacity, other.capacity, compareQuantities); diff != "" {
		t.Errorf("nodes that Pods cannot tell apart make a difference; every move of a Pod would be written:\n%s", diff)
	}
}

func TestNodeSame(t *testing.T) {
	before := aNode(t, "a", nil)
	heartbeat := aNode(t, "a", func(n *corev1.Node) {
		n.ResourceVersion = "2"
		n.Status.Conditions[0].LastHeartbeatTime = metav1.Now()
	})
	if !heartbeat.same(before) {
		t.Error("a heartbeat is a change of the capacity")
	}
	if cordoned := aNode(t, "a", func(n *corev1.Node) { n.Spec.Unschedulable = true }); cordoned.same(before) {
		t.Error("a cordon is no change of the capacity")
	}
}

func TestHostPorts(t *testing.T) {
	port := func(number int32) corev1.Container {
		return corev1.Container{Ports: []corev1.ContainerPort{{HostPort: number}, {ContainerPort: 8080}}}
	}
	held := func(node string, containers ...corev1.Container) *pod {
		cut, err := cutPod(&corev1.Pod{Spec: corev1.PodSpec{NodeName: node, Containers: containers}})
		if err != nil {
			t.Fatal(err)
		}
		return cut
	}
	got := summarize([]*node{aNode(t, "a", nil), aNode(t, "b", nil), aNode(t, "c", nil)},
		[]*pod{held("a", port(90), port(80)), held("b", port(80)), held("b", port(90), port(90))}, nil)
	free := func(count int32, pods int64, ports ...int32) clusterv1alpha1.FreeCapacity {
		entry := clusterv1alpha1.FreeCapacity{Count: count, Resources: resources("4", "8Gi", pods)}
		for _, number := range ports {
			entry.HostPorts = append(entry.HostPorts, clusterv1alpha1.HostPort{Port: number, Protocol: corev1.ProtocolTCP})
		}
		return entry
	}
	want := map[string]clusterv1alpha1.FreeCapacity{"108": free(1, 108, 80, 90), "109": free(1, 109, 80, 90), "110": free(1, 110)}
	byPods := map[string]clusterv1alpha1.FreeCapacity{}
	for _, entry := range got.capacity.Classes[0].Free {
		byPods[entry.Resources.Pods().String()] = entry
	}
	if diff := cmp.Diff(want, byPods, compareQuantities); diff != "" {
		t.Errorf("ports are told once each, sorted: -want +got:\n%s", diff)
	}
	if held("a", port(80)).same(held("a", port(90))) {
		t.Error("another port is a change")
	}
}

func TestResizedPod(t *testing.T) {
	given := resources("3", "1Gi", 0)
	cut, err := cutPod(&corev1.Pod{
		Spec:   corev1.PodSpec{NodeName: "a", Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: resources("1", "1Gi", 0)}}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", Resources: &corev1.ResourceRequirements{Requests: given}, AllocatedResources: given}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := cut.requests[corev1.ResourceCPU]; got != 3000 {
		t.Errorf("a Pod that is being made smaller holds what it had until then: want 3000m, got %dm", got)
	}
}

func TestExportQuotas(t *testing.T) {
	quotas := []*corev1.ResourceQuota{
		{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pods"},
			Spec: corev1.ResourceQuotaSpec{
				Hard:   corev1.ResourceList{corev1.ResourcePods: resource.MustParse("5"), corev1.ResourceLimitsCPU: resource.MustParse("2"), corev1.ResourceServices: resource.MustParse("1")},
				Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotBestEffort},
			},
			Status: corev1.ResourceQuotaStatus{Used: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("3"), corev1.ResourceLimitsCPU: resource.MustParse("2500m")}},
		},
		{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "objects"},
			Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
				corev1.ResourceServices: resource.MustParse("1"), corev1.ResourceRequestsStorage: resource.MustParse("1Gi"), "count/deployments.apps": resource.MustParse("1"),
			}},
		},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "bank", Name: "gpus"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"requests.example.com/gpu": resource.MustParse("4")}}},
	}
	var cut []*quota
	for _, q := range quotas {
		c, err := cutQuota(q)
		if err != nil {
			t.Fatal(err)
		}
		cut = append(cut, c)
	}
	want := []clusterv1alpha1.NamespaceQuota{
		{Namespace: "bank", Name: "gpus", Remaining: corev1.ResourceList{"requests.example.com/gpu": resource.MustParse("4")}},
		{
			Namespace: "shop", Name: "pods", Scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotBestEffort},
			// More is used than the limit that was lowered allows.
			Remaining: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("2"), corev1.ResourceLimitsCPU: resource.MustParse("0")},
		},
	}
	if diff := cmp.Diff(want, exportQuotas(cut), compareQuantities); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := len(exportQuotas(slices.Repeat(cut, 1000))); got != maxQuotas {
		t.Errorf("quotas of very many namespaces: want the first %d, got %d", maxQuotas, got)
	}
}
