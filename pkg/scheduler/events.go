// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientcache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/cache"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// Every handler here finds the templates an event concerns by an index and adds
// them to the queue; none looks at templates it does not concern.

// watch registers the handlers of everything but templates.
func (s *Scheduler) watch(ctx context.Context) ([]clientcache.InformerSynced, error) {
	policies, work := s.informers.Policy().V1alpha1(), s.informers.Work().V1alpha1()
	bindings := handler(s.setBinding, s.removeBinding)
	propagations := handler(
		func(p policyv1alpha1.Propagation) { s.setPropagation(ctx, p) },
		func(p policyv1alpha1.Propagation) { s.removePropagation(policy.RefOf(p)) },
	)
	overrides := handler(
		func(o policyv1alpha1.Override) { s.setOverride(ctx, o) },
		s.removeOverride,
	)
	watched := []struct {
		informer clientcache.SharedIndexInformer
		handler  clientcache.ResourceEventHandler
	}{
		{s.informers.Cluster().V1alpha1().Clusters().Informer(), handler(s.setMember, s.removeMember)},
		{policies.PropagationPolicies().Informer(), propagations},
		{policies.ClusterPropagationPolicies().Informer(), propagations},
		{policies.OverridePolicies().Informer(), overrides},
		{policies.ClusterOverridePolicies().Informer(), overrides},
		{work.ResourceBindings().Informer(), bindings},
		{work.ClusterResourceBindings().Informer(), bindings},
	}
	var synced []clientcache.InformerSynced
	for _, w := range watched {
		registration, err := w.informer.AddEventHandler(w.handler)
		if err != nil {
			return nil, fmt.Errorf("watch for the scheduler: %w", err)
		}
		synced = append(synced, registration.HasSynced)
	}
	interpreted, err := s.interpretations.Follow(s.informers.Config().V1alpha1().ResourceInterpreterCustomizations().Informer())
	if err != nil {
		return nil, fmt.Errorf("watch for the scheduler: %w", err)
	}
	return append(synced, interpreted), nil
}

// handler calls set for objects that were added or changed and remove for those
// that were deleted.
func handler[T any](set, remove func(T)) clientcache.ResourceEventHandler {
	return clientcache.ResourceEventHandlerFuncs{
		AddFunc: func(added any) { call(set, added) },
		UpdateFunc: func(_, updated any) {
			call(set, updated)
		},
		DeleteFunc: func(deleted any) {
			if unknown, ok := deleted.(clientcache.DeletedFinalStateUnknown); ok {
				deleted = unknown.Obj
			}
			call(remove, deleted)
		},
	}
}

func call[T any](do func(T), object any) {
	if typed, ok := object.(T); ok {
		do(typed)
	}
}

func (s *Scheduler) setMember(cluster *clusterv1alpha1.Cluster) {
	change := s.cache.SetMember(cluster)
	s.queue.WakeFor(change)
	if change.Before != nil && change.Events.Has(framework.MemberLabels) {
		s.add(s.overridden(change))
	}
}

func (s *Scheduler) removeMember(cluster *clusterv1alpha1.Cluster) {
	s.queue.WakeFor(s.cache.RemoveMember(cluster.Name))
	s.add(s.cache.PlacedOn(cluster.Name))
}

func (s *Scheduler) setPropagation(ctx context.Context, p policyv1alpha1.Propagation) {
	selectors, err := s.policies.Set(p)
	if err != nil {
		utilruntime.HandleErrorWithContext(ctx, err, "Read a propagation policy", "policy", klog.KObj(p))
		return
	}
	s.choices.set(p)
	if s.groups.follow(policy.RefOf(p), p) {
		for _, t := range s.templates.Matching([]policy.Selector{{Group: policy.Any, Kind: policy.Any}}) {
			s.groups.update(nil, t)
		}
	}
	s.requeue(selectors, policy.RefOf(p))
}

func (s *Scheduler) removePropagation(ref policy.Ref) {
	s.groups.follow(ref, nil)
	s.choices.remove(ref)
	s.requeue(s.policies.Delete(ref), ref)
}

func (s *Scheduler) setOverride(ctx context.Context, o policyv1alpha1.Override) {
	if !s.overrides.Has(policy.RefOf(o)) {
		defer s.queue.Wake(framework.OverrideAdded)
	}
	selectors, err := s.overrides.Set(o)
	if err != nil {
		utilruntime.HandleErrorWithContext(ctx, err, "Read an override policy", "policy", klog.KObj(o))
		return
	}
	s.targets.set(o)
	s.requeue(selectors, policy.Ref{})
}

func (s *Scheduler) removeOverride(o policyv1alpha1.Override) {
	s.targets.remove(policy.RefOf(o))
	s.requeue(s.overrides.Delete(policy.RefOf(o)), policy.Ref{})
}

// requeue adds the templates that selectors pick and those whose binding follows
// a policy.
func (s *Scheduler) requeue(selectors []policy.Selector, ref policy.Ref) {
	for key := range s.templates.Matching(selectors) {
		s.queue.Add(key)
	}
	if ref != (policy.Ref{}) {
		s.add(s.cache.Following(ref))
	}
}

// setBinding learns of a binding. One that is as this scheduler wrote it, but for
// its status, concerns nobody; one whose last tombstone went may be removed, and one
// whose new members are healthy may leave the old ones.
func (s *Scheduler) setBinding(binding workv1alpha1.Binding) {
	key := template.KeyOf(binding.GetSpec().Resource)
	known := s.cache.Binding(key)
	s.apply(key, s.cache.SetBinding(binding))
	lastConfirmed := known != nil && len(known.GetSpec().Tombstones) > 0 && len(binding.GetSpec().Tombstones) == 0
	if known == nil || known.GetUID() != binding.GetUID() || known.GetGeneration() < binding.GetGeneration() || lastConfirmed || evictable(binding) ||
		pendingChanged(known, binding) {
		s.queue.Add(key)
	}
}

func (s *Scheduler) removeBinding(binding workv1alpha1.Binding) {
	key := template.KeyOf(binding.GetSpec().Resource)
	s.cache.RemoveBinding(binding)
	s.queue.Add(key)
	s.add(s.unsure.take(key.GroupKind()))
}

// OnTemplate implements source.Handler.
func (s *Scheduler) OnTemplate(before, after *template.Template) {
	s.add(s.mounts.update(before, after))
	s.add(s.needs.Update(before, after))
	if changed(before, after) && s.awaitsChange(after.Key()) {
		s.changes.add(after)
		s.queue.Add(after.Key())
	}
	if s.groups.update(before, after) {
		s.queue.Wake(framework.GroupMoved)
	}
	if before == nil && after != nil && after.Priority != nil {
		s.queue.Wake(framework.PriorityClassAdded)
	}
	concerned := cmpOr(after, before)
	switch {
	case concerned == nil:
		return
	case before != nil && after != nil && before.SameDecision(after):
		return
	case before == nil && after.Stays != "" && s.cache.Binding(after.Key()) == nil:
		return
	}
	s.queue.Add(concerned.Key())
	if after == nil && concerned.Kind.Kind == "Namespace" && concerned.Kind.Group == "" {
		s.cache.ForgetNamespace(concerned.Name)
	}
	if group := source.DefinedGroup(concerned.Key()); group != "" && after == nil {
		s.add(s.cache.OfGroup(group))
	}
	if concerned.Kind.Kind == "Namespace" && concerned.Kind.Group == "" && hintsChanged(before, after) {
		for _, t := range s.templates.InNamespace(concerned.Name) {
			s.queue.Add(t.Key())
		}
	}
}

// cmpOr returns the first template that there is.
func cmpOr(a, b *template.Template) *template.Template {
	if a != nil {
		return a
	}
	return b
}

func hintsChanged(before, after *template.Template) bool {
	annotations := func(t *template.Template) string {
		if t == nil {
			return ""
		}
		return fmt.Sprint(t.Annotations)
	}
	return annotations(before) != annotations(after)
}

// OnListed implements source.Handler: bindings of the kind whose template is gone
// can be told from those whose template had not been listed yet, and where templates
// of it are may be where their namespaces have workloads.
func (s *Scheduler) OnListed(kind schema.GroupKind) {
	if known, ok := s.templates.Kind(kind); ok {
		for _, namespace := range s.cache.SetRuns(kind, known.Runs) {
			s.apply(template.Key{Group: kind.Group, Kind: kind.Kind}, cache.Change{Footprint: true, Namespace: namespace})
		}
	}
	s.add(s.cache.OfKind(kind))
	s.add(s.unsure.take(kind))
}

// OnUnserved implements source.Handler: with the kind its templates went, and the
// last events about them may have been lost.
func (s *Scheduler) OnUnserved(kind schema.GroupKind) {
	s.add(s.cache.OfKind(kind))
}

// apply adds the templates that a changed placement of another one concerns.
func (s *Scheduler) apply(key template.Key, change cache.Change) {
	if change.Footprint {
		for _, t := range s.templates.InNamespace(change.Namespace) {
			if s.followsFootprint(t) {
				s.queue.Add(t.Key())
			}
		}
	}
	if change.Landed {
		s.queue.Add(template.Key{Kind: "Namespace", Name: change.Namespace})
	}
	if !change.Moved {
		return
	}
	if len(s.groups.of(s.templates.Get(key))) > 0 {
		s.queue.Wake(framework.GroupMoved)
	}
	switch {
	case source.IsDefinition(key):
		s.queue.Wake(framework.MemberAPIs)
	case key.GroupKind() == claimKey("", "").GroupKind():
		s.queue.Wake(framework.ClaimPlaced)
	case s.runs(key.GroupKind()):
		s.add(claimsOf(s.templates.Get(key)))
	}
}

// runs reports whether templates of a kind run Pods.
func (s *Scheduler) runs(kind schema.GroupKind) bool {
	known, ok := s.templates.Kind(kind)
	return ok && known.Runs
}

func (s *Scheduler) followsFootprint(t *template.Template) bool {
	kind, ok := s.templates.Kind(t.Kind.GroupKind())
	if !ok || t.Stays != "" {
		return false
	}
	switch kind.Auto {
	case template.AutoDivided, template.AutoOnce:
		return kind.Custom && t.Workload == nil
	case template.AutoFootprint, template.AutoFootprintOrEverywhere, template.AutoStay:
		return true
	default:
		return false
	}
}

func (s *Scheduler) add(keys []template.Key) {
	for _, key := range keys {
		s.queue.Add(key)
	}
}
