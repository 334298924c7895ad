// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	coreinformers "k8s.io/client-go/informers/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	clusterinformers "fleet.dev/fleet/pkg/generated/informers/externalversions/cluster/v1alpha1"
	clusterlisters "fleet.dev/fleet/pkg/generated/listers/cluster/v1alpha1"
)

// byCluster is the index of Pods by the member they are in.
const byCluster = "cluster"

func indexByCluster(object any) ([]string, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok || pod.Labels[wellknown.LabelCluster] == "" {
		return nil, nil
	}
	return []string{pod.Labels[wellknown.LabelCluster]}, nil
}

// heardPods are Pods of which those are not ready that are in members nobody hears from,
// as the node lifecycle controller has it for those on nodes nobody hears from. Who follows
// them is told when a member is lost or found.
type heardPods struct {
	coreinformers.PodInformer

	clusters clusterinformers.ClusterInformer
}

// Lister implements coreinformers.PodInformer.
func (p heardPods) Lister() corelisters.PodLister {
	return heardPodLister{p.PodInformer.Lister(), p.clusters.Lister()}
}

// Informer implements coreinformers.PodInformer.
func (p heardPods) Informer() cache.SharedIndexInformer {
	return heardPodInformer{p.PodInformer.Informer(), p.clusters.Informer()}
}

type heardPodInformer struct {
	cache.SharedIndexInformer

	clusters cache.SharedIndexInformer
}

// AddEventHandler implements cache.SharedInformer.
func (i heardPodInformer) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	registration, err := i.SharedIndexInformer.AddEventHandler(handler)
	if err != nil {
		return nil, err
	}
	_, err = i.clusters.AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(before, after any) {
		old, ok := before.(*clusterv1alpha1.Cluster)
		cluster, isCluster := after.(*clusterv1alpha1.Cluster)
		if !ok || !isCluster || unheard(old) == unheard(cluster) {
			return
		}
		pods, _ := i.GetIndexer().ByIndex(byCluster, cluster.Name) // fails for want of the index alone
		for _, pod := range pods {
			handler.OnUpdate(pod, pod)
		}
	}})
	return registration, err
}

type heardPodLister struct {
	corelisters.PodLister

	clusters clusterlisters.ClusterLister
}

// List implements corelisters.PodLister.
func (l heardPodLister) List(selector labels.Selector) ([]*corev1.Pod, error) {
	pods, err := l.PodLister.List(selector)
	return l.heard(pods), err
}

// Pods implements corelisters.PodLister.
func (l heardPodLister) Pods(namespace string) corelisters.PodNamespaceLister {
	return heardPodNamespaceLister{l.PodLister.Pods(namespace), l}
}

// heard returns the Pods as they are to be counted.
func (l heardPodLister) heard(pods []*corev1.Pod) []*corev1.Pod {
	heard := make([]*corev1.Pod, len(pods))
	for i, pod := range pods {
		heard[i] = pod
		if lost(l.clusters, pod) {
			heard[i] = notReady(pod)
		}
	}
	return heard
}

type heardPodNamespaceLister struct {
	corelisters.PodNamespaceLister

	all heardPodLister
}

// List implements corelisters.PodNamespaceLister.
func (l heardPodNamespaceLister) List(selector labels.Selector) ([]*corev1.Pod, error) {
	pods, err := l.PodNamespaceLister.List(selector)
	return l.all.heard(pods), err
}

// lost says whether a Pod is in a member that nobody hears from.
func lost(clusters clusterlisters.ClusterLister, pod *corev1.Pod) bool {
	name := pod.Labels[wellknown.LabelCluster]
	if name == "" {
		return false
	}
	cluster, err := clusters.Get(name)
	return err == nil && unheard(cluster)
}

// unheard says whether nobody hears from a member.
func unheard(cluster *clusterv1alpha1.Cluster) bool {
	return meta.IsStatusConditionPresentAndEqual(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady, metav1.ConditionUnknown)
}

// notReady returns a Pod whose condition Ready is false.
func notReady(pod *corev1.Pod) *corev1.Pod {
	shown := *pod
	shown.Status.Conditions = slices.Clone(pod.Status.Conditions)
	for i := range shown.Status.Conditions {
		if condition := &shown.Status.Conditions[i]; condition.Type == corev1.PodReady {
			condition.Status = corev1.ConditionFalse
		}
	}
	return &shown
}
