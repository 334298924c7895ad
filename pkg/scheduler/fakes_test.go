// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// fakeClusters is a fleet's members in memory.
type fakeClusters struct {
	clusters map[string]*clusterv1alpha1.Cluster
}

func (f *fakeClusters) Get(_ context.Context, name string, _ metav1.GetOptions) (*clusterv1alpha1.Cluster, error) {
	if cluster, ok := f.clusters[name]; ok {
		return cluster, nil
	}
	return nil, apierrors.NewNotFound(clusterv1alpha1.Resource("clusters"), name)
}

// fakeBindings is a fleet's bindings in memory, with the rules of their registry:
// generations, tombstones, and deletion of empty ones only.
type fakeBindings struct {
	mu       sync.Mutex
	bindings map[string]workv1alpha1.Binding
	changed  []workv1alpha1.Binding
	version  int
	writes   int
	created  []string // kinds, in the order of their bindings
	fail     error    // of the next write
	// failStatus is the error of the next status of a binding, lose that of its next
	// patch, which is stored all the same; both by name.
	failStatus, lose map[string]error
	// beforeWrite is called once, ahead of the next write.
	beforeWrite func()
}

var _ bindingClient = &fakeBindings{}

func bindingKey(namespace, name string) string { return namespace + "/" + name }

func (f *fakeBindings) of(key template.Key) workv1alpha1.Binding {
	f.mu.Lock()
	defer f.mu.Unlock()
	binding, ok := f.bindings[bindingKey(key.Namespace, workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name))]
	if !ok {
		return nil
	}
	return binding
}

func (f *fakeBindings) takeWrites() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.writes
	f.writes = 0
	return n
}

// deliver tells the scheduler what changed, as its informers do.
func (f *fakeBindings) deliver(h *harness) {
	f.mu.Lock()
	changed := f.changed
	f.changed = nil
	f.mu.Unlock()
	for _, binding := range changed {
		h.setBinding(binding)
	}
}

func (f *fakeBindings) begin() error {
	if before := f.beforeWrite; before != nil {
		f.beforeWrite = nil
		before()
	}
	f.mu.Lock()
	f.writes++
	if err := f.fail; err != nil {
		f.fail = nil
		f.mu.Unlock()
		return err
	}
	return nil
}

func (f *fakeBindings) storeLocked(binding workv1alpha1.Binding) workv1alpha1.Binding {
	f.version++
	binding.SetResourceVersion(strconv.Itoa(f.version))
	f.bindings[bindingKey(binding.GetNamespace(), binding.GetName())] = binding
	f.changed = append(f.changed, binding.DeepCopyObject().(workv1alpha1.Binding))
	return binding.DeepCopyObject().(workv1alpha1.Binding)
}

func (f *fakeBindings) Get(_ context.Context, namespace, name string) (workv1alpha1.Binding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.getLocked(namespace, name)
}

func (f *fakeBindings) getLocked(namespace, name string) (workv1alpha1.Binding, error) {
	binding, ok := f.bindings[bindingKey(namespace, name)]
	if !ok {
		return nil, apierrors.NewNotFound(workv1alpha1.Resource("resourcebindings"), name)
	}
	return binding.DeepCopyObject().(workv1alpha1.Binding), nil
}

func (f *fakeBindings) Create(_ context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	if err := f.begin(); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	if _, err := f.getLocked(binding.GetNamespace(), binding.GetName()); err == nil {
		return nil, apierrors.NewAlreadyExists(workv1alpha1.Resource("resourcebindings"), binding.GetName())
	}
	f.created = append(f.created, binding.GetSpec().Resource.Kind)
	made := binding.DeepCopyObject().(workv1alpha1.Binding)
	made.SetUID(types.UID(fmt.Sprintf("binding-%d", f.version)))
	made.SetGeneration(1)
	*made.GetStatus() = workv1alpha1.BindingStatus{}
	recordDecision(made)
	return f.storeLocked(made), nil
}

func (f *fakeBindings) Patch(_ context.Context, binding workv1alpha1.Binding, patch []byte) (workv1alpha1.Binding, error) {
	if err := f.begin(); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	old, err := f.getLocked(binding.GetNamespace(), binding.GetName())
	if err != nil {
		return nil, err
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	after, err := operations.Apply(before)
	if err != nil {
		return nil, apierrors.NewGenericServerResponse(422, "", schema.GroupResource{}, "", err.Error(), 0, false)
	}
	updated := newBinding(template.KeyOf(old.GetSpec().Resource), workv1alpha1.BindingSpec{})
	if err := json.Unmarshal(after, updated); err != nil {
		return nil, err
	}
	stored := f.updateLocked(updated, old)
	if err := f.lose[binding.GetName()]; err != nil {
		delete(f.lose, binding.GetName())
		return nil, err
	}
	return stored, nil
}

// updateLocked is the strategy of bindings, in short.
func (f *fakeBindings) updateLocked(updated, old workv1alpha1.Binding) workv1alpha1.Binding {
	now, was := updated.GetSpec(), old.GetSpec()
	var next []workv1alpha1.Tombstone
	stays := func(member string, uid types.UID) bool { return uid == now.Resource.UID && now.Holders().Has(member) }
	for i := range now.GracefulEvictionTasks {
		if task := &now.GracefulEvictionTasks[i]; task.CreationTimestamp == nil {
			task.CreationTimestamp = new(metav1.Now())
		}
	}
	for _, tombstone := range was.Tombstones {
		if !stays(tombstone.ClusterName, tombstone.UID) {
			next = append(next, tombstone)
		}
	}
	for _, member := range sets.List(was.Holders()) {
		if !stays(member, was.Resource.UID) {
			made := workv1alpha1.Tombstone{ClusterName: member, UID: was.Resource.UID, Orphan: true}
			made.Orphan = slices.Contains(now.Tombstones, made)
			next = append(next, made)
		}
	}
	now.Tombstones = next
	decided, before := *now, *was
	decided.Tombstones, before.Tombstones = nil, nil
	if !equality.Semantic.DeepEqual(decided, before) {
		updated.SetGeneration(old.GetGeneration() + 1)
	}
	if !slices.Equal(now.Clusters, was.Clusters) {
		recordDecision(updated)
	}
	return f.storeLocked(updated)
}

// recordDecision is what the registry says about a decision by itself.
func recordDecision(binding workv1alpha1.Binding) {
	if len(binding.GetSpec().Clusters) == 0 {
		return
	}
	meta.SetStatusCondition(&binding.GetStatus().Conditions, metav1.Condition{
		Type: workv1alpha1.ConditionScheduled, Status: metav1.ConditionTrue, Reason: workv1alpha1.ReasonSuccess,
	})
	binding.GetStatus().Reasons = nil
}

// drop takes a member off a binding, as the cluster controller does.
func (f *fakeBindings) drop(key template.Key, member string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.bindings[bindingKey(key.Namespace, workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name))]
	updated := old.DeepCopyObject().(workv1alpha1.Binding)
	spec := updated.GetSpec()
	is := func(c workv1alpha1.TargetCluster) bool { return c.Name == member }
	spec.Clusters = slices.DeleteFunc(spec.Clusters, is)
	for i := range spec.RequiredBy {
		spec.RequiredBy[i].Clusters = slices.DeleteFunc(spec.RequiredBy[i].Clusters, is)
	}
	f.updateLocked(updated, old)
}

// confirm removes all tombstones, as the intake of feedback does.
func (f *fakeBindings) confirm(key template.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.bindings[bindingKey(key.Namespace, workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name))]
	updated := old.DeepCopyObject().(workv1alpha1.Binding)
	updated.GetSpec().Tombstones = nil
	f.storeLocked(updated)
}

// remove takes a binding away.
func (f *fakeBindings) remove(key template.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.bindings, bindingKey(key.Namespace, workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name)))
}

// ask asks for a decision anew, as whoever rebalances does.
func (f *fakeBindings) ask(key template.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.bindings[bindingKey(key.Namespace, workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name))]
	updated := old.DeepCopyObject().(workv1alpha1.Binding)
	updated.GetSpec().RescheduleTriggeredAt = new(metav1.NewTime(time.Now().Truncate(time.Second)))
	f.updateLocked(updated, old)
}

// healthy has members report that they run what was decided last.
func (f *fakeBindings) healthy(key template.Key, members ...string) {
	f.wasHealthy(key, 0, members...)
}

// wasHealthy has members report on a decision that was made some before the last.
func (f *fakeBindings) wasHealthy(key template.Key, before int64, members ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.bindings[bindingKey(key.Namespace, workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name))]
	updated := old.DeepCopyObject().(workv1alpha1.Binding)
	status := updated.GetStatus()
	for _, member := range members {
		status.AggregatedStatus = slices.DeleteFunc(status.AggregatedStatus, func(i workv1alpha1.AggregatedStatusItem) bool { return i.ClusterName == member })
		status.AggregatedStatus = append(status.AggregatedStatus, workv1alpha1.AggregatedStatusItem{
			ClusterName: member, Applied: true, Health: workv1alpha1.ResourceHealthy,
			TemplateUID: old.GetSpec().Resource.UID, BindingGeneration: old.GetGeneration() - before,
		})
	}
	f.storeLocked(updated)
}

// pending has a member report Pods that find no node, none with a count of 0, on the
// decision that was made some before the last.
func (f *fakeBindings) pending(key template.Key, member string, count int32, since time.Time, before int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.bindings[bindingKey(key.Namespace, workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name))]
	updated := old.DeepCopyObject().(workv1alpha1.Binding)
	status := updated.GetStatus()
	status.AggregatedStatus = slices.DeleteFunc(status.AggregatedStatus, func(i workv1alpha1.AggregatedStatusItem) bool { return i.ClusterName == member })
	item := workv1alpha1.AggregatedStatusItem{
		ClusterName: member, Applied: true, TemplateUID: old.GetSpec().Resource.UID, BindingGeneration: old.GetGeneration() - before,
	}
	if count > 0 {
		item.Unschedulable = &workv1alpha1.UnschedulablePods{Count: count, Since: metav1.NewTime(since.Truncate(time.Second))}
	}
	status.AggregatedStatus = append(status.AggregatedStatus, item)
	if !equality.Semantic.DeepEqual(status, old.GetStatus()) {
		f.storeLocked(updated)
	}
}

// report changes the status only, as feedback does all the time.
func (f *fakeBindings) report(key template.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.bindings[bindingKey(key.Namespace, workv1alpha1.BindingNameForGroupKind(key.GroupKind(), key.Name))]
	updated := old.DeepCopyObject().(workv1alpha1.Binding)
	updated.GetStatus().AggregatedStatus = []workv1alpha1.AggregatedStatusItem{{ClusterName: "m1", Applied: true}}
	f.storeLocked(updated)
}

func (f *fakeBindings) UpdateStatus(_ context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	if err := f.begin(); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	old, err := f.getLocked(binding.GetNamespace(), binding.GetName())
	if err != nil {
		return nil, err
	}
	if old.GetResourceVersion() != binding.GetResourceVersion() {
		return nil, apierrors.NewConflict(workv1alpha1.Resource("resourcebindings"), binding.GetName(), nil)
	}
	if err := f.failStatus[binding.GetName()]; err != nil {
		delete(f.failStatus, binding.GetName())
		return nil, err
	}
	*old.GetStatus() = *binding.GetStatus()
	return f.storeLocked(old), nil
}

func (f *fakeBindings) Delete(_ context.Context, binding workv1alpha1.Binding) error {
	if err := f.begin(); err != nil {
		return err
	}
	defer f.mu.Unlock()
	old, err := f.getLocked(binding.GetNamespace(), binding.GetName())
	if err != nil {
		return err
	}
	if old.GetSpec().Holders().Len() > 0 || len(old.GetSpec().Tombstones) > 0 || old.GetUID() != binding.GetUID() {
		return apierrors.NewConflict(workv1alpha1.Resource("resourcebindings"), binding.GetName(), nil)
	}
	delete(f.bindings, bindingKey(binding.GetNamespace(), binding.GetName()))
	return nil
}
