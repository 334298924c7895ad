// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package packing

import (
	"fmt"
	"math/rand/v2"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/test/testbed"
)

const (
	namespace = "packing"
	// workloadLabel names the workload of a Pod.
	workloadLabel = "workload"
	gpu           = corev1.ResourceName("example.com/gpu")
)

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// chance is true so many times in a hundred.
func chance(random *rand.Rand, percent int) bool { return random.IntN(100) < percent }

// randomNodes are the nodes of a member: small, of several sizes, some with a
// label, a taint or a GPU.
func randomNodes(random *rand.Rand, n int) []testbed.NodeConfig {
	nodes := make([]testbed.NodeConfig, n)
	for i := range nodes {
		c := testbed.NodeConfig{
			Name:   fmt.Sprintf("packed-%d", i),
			Labels: map[string]string{"disk": pick(random, "ssd", "hdd", "hdd")},
			Allocatable: corev1.ResourceList{
				corev1.ResourceCPU:    *resource.NewMilliQuantity(pick[int64](random, 2000, 3500, 4000, 6000), resource.DecimalSI),
				corev1.ResourceMemory: *resource.NewQuantity(pick[int64](random, 4, 8, 16)<<30, resource.BinarySI),
				corev1.ResourcePods:   *resource.NewQuantity(pick[int64](random, 6, 10, 20), resource.DecimalSI),
			},
		}
		if chance(random, 20) {
			c.Taints = []corev1.Taint{{Key: "dedicated", Value: "batch", Effect: corev1.TaintEffectNoSchedule}}
		}
		if chance(random, 30) {
			c.Allocatable[gpu] = *resource.NewQuantity(pick[int64](random, 1, 2), resource.DecimalSI)
		}
		nodes[i] = c
	}
	return nodes
}

// randomWorkload is a Deployment whose Pods ask for a bit of everything.
func randomWorkload(random *rand.Rand, name string) *appsv1.Deployment {
	labels := map[string]string{workloadLabel: name}
	requests := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(pick[int64](random, 100, 250, 500, 700, 1000, 1500, 2500), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(pick[int64](random, 64, 200, 512, 1000, 3000)<<20, resource.BinarySI),
	}
	if chance(random, 6) {
		requests[gpu] = resource.MustParse("1")
	}
	resources := corev1.ResourceRequirements{Requests: requests}
	if requests[gpu] != (resource.Quantity{}) || chance(random, 15) {
		// Limits alone are requests too.
		resources = corev1.ResourceRequirements{Limits: requests}
	}
	spec := corev1.PodSpec{
		Containers:                    []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause:3.10", Resources: resources}},
		TerminationGracePeriodSeconds: ptr.To[int64](0),
	}
	if chance(random, 10) {
		spec.NodeSelector = map[string]string{"disk": pick(random, "ssd", "hdd")}
	}
	if chance(random, 15) {
		spec.Tolerations = []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}
	}
	constrain(random, &spec, labels)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(1 + random.Int32N(6)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}

// constrain has some Pods care where others of their workload are.
func constrain(random *rand.Rand, spec *corev1.PodSpec, labels map[string]string) {
	self := &metav1.LabelSelector{MatchLabels: labels}
	switch n := random.IntN(100); {
	case n < 8:
		spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{TopologyKey: corev1.LabelHostname, LabelSelector: self},
		}}}
	case n < 16:
		spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: self,
		}}
	case n < 20:
		spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: pick[int32](random, 8080, 8081, 8082)}}
	}
}
