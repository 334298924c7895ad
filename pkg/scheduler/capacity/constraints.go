// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	resourcehelper "k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"
	schedutil "k8s.io/kubernetes/pkg/scheduler/util"
	"k8s.io/utils/ptr"
)

// Constraints are what decides where a Pod fits beyond its ReplicaRequirements.
type Constraints struct {
	// Limits of the Pod, for quotas.
	Limits corev1.ResourceList
	// HostPorts it holds on its node.
	HostPorts []corev1.ContainerPort
	// Topology is how Pods of the workload want to be placed to each other.
	Topology []Rule
	// Terminating says that its activeDeadlineSeconds is set, for quotas.
	Terminating bool
}

// Rule is a hard constraint on where Pods of one workload run in relation to each
// other.
type Rule struct {
	// Key is the label of nodes that makes domains.
	Key string
	// Apart lets no two of them run in a domain, as required anti-affinity does.
	// Otherwise all of them are in one domain, as by required affinity, unless
	// Spread is set.
	Apart bool
	// Spread bounds how unevenly they are spread.
	Spread *Spread
}

// Spread is a topology spread constraint with DoNotSchedule.
type Spread struct {
	// MaxSkew is how many more there may be in a domain than in the emptiest.
	MaxSkew int64
	// MinDomains is how many domains there have to be for the emptiest to count.
	MinDomains int64
	// AllNodes counts the domains of nodes that the Pod does not select too.
	AllNodes bool
	// Tolerated counts only domains of nodes whose taints it tolerates.
	Tolerated bool
}

// ConstraintsOf reads the constraints of a Pod that was defaulted, with its
// namespace and labels; nil when it has none. What its validation would refuse is
// left out.
func ConstraintsOf(pod *corev1.Pod) *Constraints {
	found := Constraints{
		Limits:      resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{}),
		HostPorts:   schedutil.GetHostPorts(pod),
		Terminating: ptr.Deref(pod.Spec.ActiveDeadlineSeconds, -1) >= 0,
	}
	if len(found.Limits) == 0 {
		found.Limits = nil
	}
	found.Topology = append(found.Topology, affinityRules(pod, fwk.GetPodAntiAffinityTerms(pod.Spec.Affinity), true)...)
	found.Topology = append(found.Topology, affinityRules(pod, fwk.GetPodAffinityTerms(pod.Spec.Affinity), false)...)
	found.Topology = append(found.Topology, spreadRules(pod)...)
	if found.Limits == nil && found.HostPorts == nil && found.Topology == nil && !found.Terminating {
		return nil
	}
	return &found
}

// affinityRules are those of terms that are about Pods like this one.
func affinityRules(pod *corev1.Pod, from []corev1.PodAffinityTerm, apart bool) []Rule {
	terms, err := fwk.GetAffinityTerms(pod, from)
	if err != nil {
		return nil
	}
	var rules []Rule
	for _, term := range terms {
		if term.Matches(pod, nil) {
			rules = append(rules, Rule{Key: term.TopologyKey, Apart: apart})
		}
	}
	return rules
}

// spreadRules are those of constraints that count Pods like this one.
func spreadRules(pod *corev1.Pod) []Rule {
	var rules []Rule
	for _, constraint := range pod.Spec.TopologySpreadConstraints {
		selector, err := metav1.LabelSelectorAsSelector(constraint.LabelSelector)
		if err != nil || constraint.WhenUnsatisfiable != corev1.DoNotSchedule || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		rules = append(rules, Rule{Key: constraint.TopologyKey, Spread: &Spread{
			MaxSkew:    int64(constraint.MaxSkew),
			MinDomains: int64(ptr.Deref(constraint.MinDomains, 1)),
			AllNodes:   ptr.Deref(constraint.NodeAffinityPolicy, corev1.NodeInclusionPolicyHonor) == corev1.NodeInclusionPolicyIgnore,
			Tolerated:  ptr.Deref(constraint.NodeTaintsPolicy, corev1.NodeInclusionPolicyIgnore) == corev1.NodeInclusionPolicyHonor,
		}})
	}
	return rules
}
