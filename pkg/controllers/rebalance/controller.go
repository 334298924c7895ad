// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rebalance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	appsv1alpha1 "fleet.dev/fleet/pkg/apis/apps/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/controllers/loop"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// byBinding is the index of WorkloadRebalancers that are not finished by the
// bindings of their workloads.
const byBinding = "binding"

// workers is how many WorkloadRebalancers are looked at together.
const workers = 2

// Dependencies is what the controller is made from. All are required.
type Dependencies struct {
	FleetClient fleetclient.Interface
	// FleetInformers gives WorkloadRebalancers, and bindings with what Trim of
	// package cluster leaves of them.
	FleetInformers fleetinformers.SharedInformerFactory
	Clock          clock.WithTicker
}

// Controller serves WorkloadRebalancers.
type Controller struct {
	client fleetclient.Interface
	clock  clock.WithTicker

	rebalancers     cache.Indexer
	bindings        cache.Store // in namespaces
	clusterBindings cache.Store // of cluster-scoped templates
	loop            *loop.Loop  // of names of WorkloadRebalancers

	// asked and told are the bindings and the WorkloadRebalancers that this
	// controller wrote.
	asked, told versions
}

// New returns a controller. It adds handlers and an index to the informers, which
// must not run yet.
func New(d Dependencies) (*Controller, error) {
	rebalancers := d.FleetInformers.Apps().V1alpha1().WorkloadRebalancers().Informer()
	work := d.FleetInformers.Work().V1alpha1()
	bindings, clusterBindings := work.ResourceBindings().Informer(), work.ClusterResourceBindings().Informer()
	if err := rebalancers.AddIndexers(cache.Indexers{byBinding: indexByBinding}); err != nil {
		return nil, fmt.Errorf("index workload rebalancers by binding: %w", err)
	}
	c := &Controller{
		client: d.FleetClient, clock: d.Clock,
		rebalancers: rebalancers.GetIndexer(), bindings: bindings.GetStore(), clusterBindings: clusterBindings.GetStore(),
		asked: newVersions(), told: newVersions(),
	}
	c.loop = loop.New(loop.Config{
		Name: "rebalance", Key: "rebalancer", Workers: workers, Clock: d.Clock,
		Reconcile: func(ctx context.Context, name string) (time.Duration, error) { return 0, c.reconcile(ctx, name) },
		Expects:   apierrors.IsInvalid, // somebody made the binding anew
	})
	for informer, enqueue := range map[cache.SharedIndexInformer]func(any){
		rebalancers: c.enqueue, bindings: c.enqueueBinding, clusterBindings: c.enqueueBinding,
	} {
		if err := c.loop.Watch(informer, loop.Each(enqueue)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// keyOf returns the key of the binding of a workload, false when its apiVersion
// makes no sense.
func keyOf(workload appsv1alpha1.ObjectReference) (key string, ok bool) {
	version, err := schema.ParseGroupVersion(workload.APIVersion)
	if err != nil {
		return "", false
	}
	name := workv1alpha1.BindingNameForGroupKind(version.WithKind(workload.Kind).GroupKind(), workload.Name)
	return cache.NewObjectName(workload.Namespace, name).String(), true
}

func indexByBinding(object any) ([]string, error) {
	r, ok := object.(*appsv1alpha1.WorkloadRebalancer)
	if !ok || !r.Status.FinishTime.IsZero() {
		return nil, nil
	}
	var keys []string
	for _, workload := range r.Spec.Workloads {
		if key, ok := keyOf(workload); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (c *Controller) enqueue(object any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
		c.loop.Queue.Add(key)
	}
}

// enqueueBinding has those looked at that wait for a binding.
func (c *Controller) enqueueBinding(object any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
	if err != nil {
		return
	}
	names, err := c.rebalancers.IndexKeys(byBinding, key)
	if err != nil {
		return
	}
	for _, name := range names {
		c.loop.Queue.Add(name)
	}
}

// Run serves until ctx ends.
func (c *Controller) Run(ctx context.Context) { c.loop.Run(ctx) }

// reconcile brings one WorkloadRebalancer a step further.
func (c *Controller) reconcile(ctx context.Context, name string) error {
	object, exists, err := c.rebalancers.GetByKey(name)
	if err != nil || !exists {
		return err
	}
	r, ok := object.(*appsv1alpha1.WorkloadRebalancer)
	if !ok || !r.DeletionTimestamp.IsZero() || c.told.behind(name, r) {
		return nil
	}
	status, err := c.observe(ctx, r)
	if err != nil {
		return err
	}
	if !same(&r.Status, status) {
		updated := r.DeepCopy()
		updated.Status = *status
		updated, err = c.client.AppsV1alpha1().WorkloadRebalancers().UpdateStatus(ctx, updated, metav1.UpdateOptions{})
		if err != nil {
			return ignoreNotFound(err, "update the status of workload rebalancer %q: %w", name)
		}
		c.told.wrote(name, updated)
		return nil // its event brings it back
	}
	return c.expire(ctx, r)
}

// ignoreNotFound says that something that was to be written is gone.
func ignoreNotFound(err error, format, name string) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf(format, name, err)
}

// observe asks about the workloads that are new and returns what became of all.
func (c *Controller) observe(ctx context.Context, r *appsv1alpha1.WorkloadRebalancer) (*appsv1alpha1.WorkloadRebalancerStatus, error) {
	status := &appsv1alpha1.WorkloadRebalancerStatus{ObservedGeneration: r.Generation}
	finished := true
	for _, workload := range r.Spec.Workloads {
		observed, err := c.observeOne(ctx, &r.Status, workload)
		if err != nil {
			return nil, err
		}
		finished = finished && observed.Result != ""
		status.ObservedWorkloads = append(status.ObservedWorkloads, observed)
	}
	if !finished {
		return status, nil
	}
	if status.FinishTime = r.Status.FinishTime; status.FinishTime == nil || r.Status.ObservedGeneration != r.Generation {
		status.FinishTime = new(metav1.NewTime(c.clock.Now().Truncate(time.Second)))
	}
	return status, nil
}

func (c *Controller) observeOne(ctx context.Context, before *appsv1alpha1.WorkloadRebalancerStatus, workload appsv1alpha1.ObjectReference) (appsv1alpha1.ObservedWorkload, error) {
	i := slices.IndexFunc(before.ObservedWorkloads, func(o appsv1alpha1.ObservedWorkload) bool { return o.Workload == workload })
	if i >= 0 && before.ObservedWorkloads[i].Result != "" {
		return before.ObservedWorkloads[i], nil
	}
	observed := appsv1alpha1.ObservedWorkload{Workload: workload}
	binding, err := c.binding(ctx, workload)
	if err != nil {
		return observed, err
	}
	if binding != nil && !suspended(binding) && (i < 0 || binding.GetSpec().RescheduleTriggeredAt == nil) {
		return observed, c.ask(ctx, binding)
	}
	observed.Result, observed.Reason = judge(binding)
	return observed, nil
}

// binding returns the binding of a workload, nil when there is none.
func (c *Controller) binding(ctx context.Context, workload appsv1alpha1.ObjectReference) (workv1alpha1.Binding, error) {
	key, ok := keyOf(workload)
	if !ok {
		return nil, nil
	}
	store := c.bindings
	if workload.Namespace == "" {
		store = c.clusterBindings
	}
	cached, exists, err := store.GetByKey(key)
	if err != nil {
		return nil, err
	}
	binding, ok := cached.(workv1alpha1.Binding)
	if exists && ok && !c.asked.behind(key, binding) {
		return binding, nil
	}
	// What was written, or made, last may not be in the cache yet.
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return nil, err
	}
	if binding, err = c.live(ctx, namespace, name); apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get binding %q: %w", key, err)
	}
	return binding, nil
}

func (c *Controller) live(ctx context.Context, namespace, name string) (workv1alpha1.Binding, error) {
	if namespace == "" {
		return c.client.WorkV1alpha1().ClusterResourceBindings().Get(ctx, name, metav1.GetOptions{})
	}
	return c.client.WorkV1alpha1().ResourceBindings(namespace).Get(ctx, name, metav1.GetOptions{})
}

// ask has the scheduler decide anew, unless the binding is another one by now.
func (c *Controller) ask(ctx context.Context, binding workv1alpha1.Binding) error {
	now := metav1.NewTime(c.clock.Now().Truncate(time.Second))
	if last := binding.GetStatus().LastScheduledTime; last != nil && !now.After(last.Time) {
		// The time is kept in seconds, and it was decided in this one already.
		now = metav1.NewTime(last.Add(time.Second))
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": binding.GetUID()},
		{"op": "add", "path": "/spec/rescheduleTriggeredAt", "value": now},
	})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	var asked workv1alpha1.Binding
	if binding.GetNamespace() == "" {
		asked, err = c.client.WorkV1alpha1().ClusterResourceBindings().Patch(ctx, binding.GetName(), types.JSONPatchType, patch, metav1.PatchOptions{})
	} else {
		asked, err = c.client.WorkV1alpha1().ResourceBindings(binding.GetNamespace()).Patch(ctx, binding.GetName(), types.JSONPatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		return fmt.Errorf("ask to decide anew about binding %q: %w", cache.MetaObjectToName(binding), err)
	}
	c.asked.wrote(cache.MetaObjectToName(binding).String(), asked)
	klog.FromContext(ctx).V(2).Info("Asked to decide anew", "binding", klog.KObj(binding))
	return nil
}

// expire deletes a WorkloadRebalancer whose time to live is over, and comes back
// when it will be.
func (c *Controller) expire(ctx context.Context, r *appsv1alpha1.WorkloadRebalancer) error {
	if r.Status.FinishTime == nil || r.Spec.TTLSecondsAfterFinished == nil {
		return nil
	}
	end := r.Status.FinishTime.Add(time.Duration(*r.Spec.TTLSecondsAfterFinished) * time.Second)
	if left := end.Sub(c.clock.Now()); left > 0 {
		c.loop.Queue.AddAfter(r.Name, left)
		return nil
	}
	// Somebody who changes it now wants something.
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &r.UID, ResourceVersion: &r.ResourceVersion}}
	if err := c.client.AppsV1alpha1().WorkloadRebalancers().Delete(ctx, r.Name, options); err != nil {
		return ignoreNotFound(err, "delete workload rebalancer %q: %w", r.Name)
	}
	klog.FromContext(ctx).V(2).Info("Deleted a workload rebalancer that finished")
	return nil
}
