// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	coreinformers "k8s.io/client-go/informers/core/v1"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	clusterlisters "fleet.dev/fleet/pkg/generated/listers/cluster/v1alpha1"
	worklisters "fleet.dev/fleet/pkg/generated/listers/work/v1alpha1"
)

// autoscaledPods are the Pods that the fleet's autoscalers reckon with. These are not
//   - those left behind in a member that nobody hears from, when what made them is to run
//     there no more: others run in their place, and they would count as using nothing;
//   - those of all but one of the members that run a workload in full each: the number of
//     replicas is that of each member.
//
// When Pods are missing that a member has which nobody hears from, as after a restart of
// the API server, there is an error instead, and an autoscaler leaves the number alone.
type autoscaledPods struct {
	coreinformers.PodInformer

	placed placed
}

// Lister implements coreinformers.PodInformer.
func (p autoscaledPods) Lister() corelisters.PodLister {
	return autoscaledPodLister{p.PodInformer.Lister(), p.placed}
}

// autoscaledPodLister is about namespaces: autoscalers ask for no more.
type autoscaledPodLister struct {
	corelisters.PodLister

	placed placed
}

// Pods implements corelisters.PodLister.
func (l autoscaledPodLister) Pods(namespace string) corelisters.PodNamespaceLister {
	return autoscaledPodNamespaceLister{l.PodLister.Pods(namespace), namespace, l.placed}
}

type autoscaledPodNamespaceLister struct {
	corelisters.PodNamespaceLister

	namespace string
	placed    placed
}

// List implements corelisters.PodNamespaceLister.
func (l autoscaledPodNamespaceLister) List(selector labels.Selector) ([]*corev1.Pod, error) {
	pods, err := l.PodNamespaceLister.List(selector)
	if err != nil {
		return nil, err
	}
	return l.placed.reckoned(l.namespace, pods)
}

// autoscaledMetrics are the metrics of autoscaledPods.
type autoscaledMetrics struct {
	metrics.MetricsClient

	pods   corelisters.PodLister // all
	placed placed
}

// GetResourceMetric implements metrics.MetricsClient.
func (m autoscaledMetrics) GetResourceMetric(ctx context.Context, resource corev1.ResourceName, namespace string, selector labels.Selector, container string) (metrics.PodMetricsInfo, time.Time, error) {
	values, at, err := m.MetricsClient.GetResourceMetric(ctx, resource, namespace, selector, container)
	if err != nil {
		return values, at, err
	}
	return values, at, m.reckoned(values, namespace, selector)
}

// GetRawMetric implements metrics.MetricsClient.
func (m autoscaledMetrics) GetRawMetric(name, namespace string, selector, metricSelector labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	values, at, err := m.MetricsClient.GetRawMetric(name, namespace, selector, metricSelector)
	if err != nil {
		return values, at, err
	}
	return values, at, m.reckoned(values, namespace, selector)
}

// reckoned drops the values of Pods that are not reckoned with.
func (m autoscaledMetrics) reckoned(values metrics.PodMetricsInfo, namespace string, selector labels.Selector) error {
	pods, err := m.pods.Pods(namespace).List(selector)
	if err != nil {
		return err
	}
	reckoned, err := m.placed.reckoned(namespace, pods)
	if err != nil {
		return err
	}
	names := sets.New[string]()
	for _, pod := range reckoned {
		names.Insert(pod.Name)
	}
	for _, pod := range pods {
		if !names.Has(pod.Name) {
			delete(values, pod.Name)
		}
	}
	return nil
}

// placed tells where workloads are.
type placed struct {
	clusters    clusterlisters.ClusterLister
	bindings    worklisters.ResourceBindingLister
	replicaSets appslisters.ReplicaSetLister
}

// reckoned returns those of a namespace's Pods that autoscalers reckon with.
func (p placed) reckoned(namespace string, pods []*corev1.Pod) ([]*corev1.Pod, error) {
	byBinding := map[string][]*corev1.Pod{}
	for _, pod := range pods {
		name := p.binding(pod)
		byBinding[name] = append(byBinding[name], pod)
	}
	var all []*corev1.Pod
	for name, pods := range byBinding {
		if binding, err := p.bindings.ResourceBindings(namespace).Get(name); err == nil {
			if pods, err = p.of(&binding.Spec, pods); err != nil {
				return nil, err
			}
		}
		all = append(all, pods...)
	}
	return all, nil
}

// binding returns the name of the binding of what made a Pod, empty when nothing did.
func (p placed) binding(pod *corev1.Pod) string {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return ""
	}
	if owner.Kind == "ReplicaSet" {
		if set, err := p.replicaSets.ReplicaSets(pod.Namespace).Get(owner.Name); err == nil && metav1.GetControllerOfNoCopy(set) != nil {
			owner = metav1.GetControllerOfNoCopy(set)
		}
	}
	kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()
	return workv1alpha1.BindingNameForGroupKind(kind, owner.Name)
}

// of returns those of the Pods of a workload that autoscalers reckon with.
func (p placed) of(spec *workv1alpha1.BindingSpec, pods []*corev1.Pod) ([]*corev1.Pod, error) {
	holders, seen := spec.Holders(), sets.New[string]()
	var left []*corev1.Pod
	for _, pod := range pods {
		if member := pod.Labels[wellknown.LabelCluster]; holders.Has(member) || !p.lost(member) {
			seen.Insert(member)
			left = append(left, pod)
		}
	}
	for _, target := range spec.Clusters {
		if target.Replicas > 0 && !seen.Has(target.Name) && p.lost(target.Name) {
			return nil, fmt.Errorf("count Pods of cluster %q: nobody has heard from it", target.Name)
		}
	}
	if member := p.example(spec, seen); member != "" {
		left = slices.DeleteFunc(left, func(pod *corev1.Pod) bool { return pod.Labels[wellknown.LabelCluster] != member })
	}
	return left, nil
}

// example returns the member that stands for all that run a workload in full each, one
// that is heard of if there is one. It is empty for workloads that are divided.
func (p placed) example(spec *workv1alpha1.BindingSpec, seen sets.Set[string]) string {
	var away, heard []string
	for _, target := range spec.Clusters {
		switch {
		case target.Replicas > 0:
			return ""
		case !seen.Has(target.Name):
		case p.lost(target.Name):
			away = append(away, target.Name)
		default:
			heard = append(heard, target.Name)
		}
	}
	slices.Sort(heard)
	slices.Sort(away)
	if all := slices.Concat(heard, away); len(all) > 0 {
		return all[0]
	}
	return ""
}

// lost says whether nobody hears from a member.
func (p placed) lost(member string) bool {
	cluster, err := p.clusters.Get(member)
	return err == nil && meta.IsStatusConditionPresentAndEqual(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady, metav1.ConditionUnknown)
}
