// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"cmp"
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// changes remembers the templates that somebody changed since a policy that is
// activated lazily did, until the decision by which it takes effect is written. It
// forgets with the process: what changed while no scheduler ran waits for the next
// change. It is safe for concurrent use.
type changes struct {
	mu   sync.Mutex
	uids map[template.Key]types.UID
}

func newChanges() *changes { return &changes{uids: map[template.Key]types.UID{}} }

func (c *changes) add(t *template.Template) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uids[t.Key()] = t.UID
}

// changed reports whether somebody changed a template. Of kinds without a
// generation every write is a change.
func changed(before, after *template.Template) bool {
	if before == nil || after == nil || before.UID != after.UID {
		return false
	}
	return before.Generation != after.Generation ||
		after.Generation == 0 && before.ResourceVersion != after.ResourceVersion ||
		!maps.Equal(before.Labels, after.Labels) || !maps.Equal(before.Annotations, after.Annotations)
}

// awaitsChange reports whether a template follows a policy that takes effect with
// its next change.
func (s *Scheduler) awaitsChange(key template.Key) bool {
	binding := s.cache.Binding(key)
	if binding == nil || binding.GetSpec().Policy == nil {
		return false
	}
	followed := binding.GetSpec().Policy
	p := s.policies.Get(policy.Ref{Namespace: followed.Namespace, Name: followed.Name})
	return p != nil && p.GetSpec().ActivationPreference == policyv1alpha1.ActivateLazily && p.GetGeneration() != followed.Generation
}

func (c *changes) has(key template.Key, uid types.UID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.uids[key] == uid
}

func (c *changes) settle(key template.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.uids, key)
}

// lazily returns the match a template is decided by: that of the policy as it was
// when it last took effect, while the policy is activated lazily and nobody changed
// the template.
func (s *Scheduler) lazily(subject *subject, match *policy.Match) *policy.Match {
	if match == nil || match.Policy.GetSpec().ActivationPreference != policyv1alpha1.ActivateLazily || subject.placed == nil {
		return match
	}
	followed := subject.binding.GetSpec().Policy
	same := followed != nil && followed.UID == match.Policy.GetUID() && followed.Name == match.Policy.GetName() && followed.Namespace == match.Policy.GetNamespace()
	if !same || followed.Generation == match.Policy.GetGeneration() || s.changes.has(subject.key, subject.template.UID) {
		return match
	}
	was, ok := match.Policy.DeepCopyObject().(policyv1alpha1.Propagation)
	if !ok {
		return match
	}
	recall(was, subject.binding.GetSpec())
	return &policy.Match{Policy: was, By: match.By}
}

// recall gives a policy back what a binding took from it.
func recall(p policyv1alpha1.Propagation, from *workv1alpha1.BindingSpec) {
	p.SetGeneration(from.Policy.Generation)
	now := p.GetSpec()
	was := policyv1alpha1.PropagationSpec{
		ResourceSelectors:           now.ResourceSelectors,
		Priority:                    now.Priority,
		Preemption:                  now.Preemption,
		PropagateDeps:               from.PropagateDeps,
		SchedulerName:               from.SchedulerName,
		Failover:                    from.Failover,
		ConflictResolution:          from.ConflictResolution,
		RecreatePolicy:              cmp.Or(from.RecreatePolicy, policyv1alpha1.RecreateNever),
		PreserveResourcesOnDeletion: from.PreserveResourcesOnDeletion,
	}
	if from.Placement != nil {
		was.Placement = *from.Placement
	}
	if suspension := from.Suspension; suspension != nil && (suspension.Dispatching != nil || suspension.DispatchingOnClusters != nil) {
		was.Suspension = &policyv1alpha1.Suspension{Dispatching: suspension.Dispatching, DispatchingOnClusters: suspension.DispatchingOnClusters}
	}
	*now = was
}

// missingOverride returns the name of an override policy that a policy waits for,
// nothing when all of them are there. They are of the scope of the policy.
func (s *Scheduler) missingOverride(p policyv1alpha1.Propagation) string {
	for _, name := range p.GetSpec().DependentOverrides {
		if !s.overrides.Has(policy.Ref{Namespace: p.GetNamespace(), Name: name}) {
			return name
		}
	}
	return ""
}
