// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package pods

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/controllers/loop"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

const (
	// byBinding is the index of Pods that are being deleted by their bindings.
	byBinding = "binding"
	// workers is how many Pods are looked at together.
	workers = 2
	// recheck is how often a Pod that waits is looked at for members that do not
	// answer any more.
	recheck = 10 * time.Second
)

// Dependencies is what the controller is made from. All are required.
type Dependencies struct {
	KubeClient  kubernetes.Interface
	FleetClient fleetclient.Interface
	// KubeInformers gives the Pods that are stored in the fleet.
	KubeInformers informers.SharedInformerFactory
	// FleetInformers gives Clusters, and bindings with what Trim of package cluster
	// leaves of them.
	FleetInformers fleetinformers.SharedInformerFactory
	Clock          clock.WithTicker
}

// Controller ends graceful deletions of Pods.
type Controller struct {
	kubeClient  kubernetes.Interface
	fleetClient fleetclient.Interface

	pods     cache.Indexer
	clusters cache.Store
	loop     *loop.Loop // of keys of Pods
}

// New returns a controller. It adds handlers to the informers, which must not run
// yet.
func New(d Dependencies) (*Controller, error) {
	pods := d.KubeInformers.Core().V1().Pods().Informer()
	clusters := d.FleetInformers.Cluster().V1alpha1().Clusters().Informer()
	if err := pods.AddIndexers(cache.Indexers{byBinding: indexByBinding}); err != nil {
		return nil, fmt.Errorf("index pods by binding: %w", err)
	}
	c := &Controller{kubeClient: d.KubeClient, fleetClient: d.FleetClient, pods: pods.GetIndexer(), clusters: clusters.GetStore()}
	c.loop = loop.New(loop.Config{Name: "pods", Key: "pod", Workers: workers, Clock: d.Clock, Reconcile: c.reconcile})
	if err := c.loop.Watch(pods, cache.ResourceEventHandlerFuncs{
		AddFunc: c.see, UpdateFunc: func(_, updated any) { c.see(updated) },
	}); err != nil {
		return nil, err
	}
	if err := c.loop.Watch(clusters, cache.ResourceEventHandlerFuncs{}); err != nil {
		return nil, err
	}
	bindings := d.FleetInformers.Work().V1alpha1().ResourceBindings().Informer()
	if err := c.loop.Watch(bindings, cache.ResourceEventHandlerFuncs{DeleteFunc: c.bindingGone}); err != nil {
		return nil, err
	}
	return c, nil
}

// Run serves until ctx ends.
func (c *Controller) Run(ctx context.Context) { c.loop.Run(ctx) }

// see has a Pod looked at that is being deleted.
func (c *Controller) see(object any) {
	if pod, ok := object.(*corev1.Pod); ok && ending(pod) {
		c.loop.Queue.Add(cache.MetaObjectToName(pod).String())
	}
}

// bindingGone has the Pod of a binding looked at if it waits for that.
func (c *Controller) bindingGone(object any) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	binding, ok := object.(*workv1alpha1.ResourceBinding)
	if !ok {
		return
	}
	waiting, err := c.pods.IndexKeys(byBinding, cache.MetaObjectToName(binding).String())
	if err != nil {
		return // there is the index
	}
	for _, key := range waiting {
		c.loop.Queue.Add(key)
	}
}

// indexByBinding indexes Pods that are being deleted.
func indexByBinding(object any) ([]string, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok || !ending(pod) {
		return nil, nil
	}
	return []string{cache.NewObjectName(pod.Namespace, bindingOf(pod)).String()}, nil
}

// bindingOf is the name of the binding of a Pod.
func bindingOf(pod *corev1.Pod) string {
	return workv1alpha1.BindingNameForGroupKind(schema.GroupKind{Kind: "Pod"}, pod.Name)
}

// ending returns true for a Pod that is there until its members have ended it.
func ending(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil && ptr.Deref(pod.DeletionGracePeriodSeconds, 0) > 0
}

// reconcile deletes a Pod for good that no member has any more, or none that answers.
func (c *Controller) reconcile(ctx context.Context, key string) (time.Duration, error) {
	object, exists, err := c.pods.GetByKey(key)
	if err != nil || !exists {
		return 0, err
	}
	pod, ok := object.(*corev1.Pod)
	if !ok || !ending(pod) {
		return 0, nil
	}
	waits, err := c.waits(ctx, pod)
	if err != nil {
		return 0, err
	}
	if waits {
		return recheck, nil
	}
	options := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
	if err := c.kubeClient.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options); err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("end pod %s: %w", key, err)
	}
	return 0, nil
}

// waits returns whether some member that answers has yet to confirm that it ended the
// Pod. The fleet is asked: the deletion cannot be undone.
func (c *Controller) waits(ctx context.Context, pod *corev1.Pod) (bool, error) {
	name := bindingOf(pod)
	binding, err := c.fleetClient.WorkV1alpha1().ResourceBindings(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get binding %s/%s: %w", pod.Namespace, name, err)
	}
	if binding.Spec.Resource.UID != pod.UID {
		return false, nil // that of another Pod
	}
	members := binding.Spec.Holders()
	for i := range binding.Spec.Tombstones {
		members.Insert(binding.Spec.Tombstones[i].ClusterName)
	}
	for member := range members {
		if c.answers(member) {
			return true, nil
		}
	}
	return false, nil
}

// answers returns false for a member that is known not to.
func (c *Controller) answers(name string) bool {
	object, exists, err := c.clusters.GetByKey(name)
	member, ok := object.(*clusterv1alpha1.Cluster)
	if err != nil || !exists || !ok {
		return false
	}
	return !meta.IsStatusConditionPresentAndEqual(member.Status.Conditions, clusterv1alpha1.ClusterConditionReady, metav1.ConditionUnknown)
}
