// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// State is what a decision about one template is explained from. What is not in it
// the explanation does not know: workloads of a group, claims of other Pods.
type State struct {
	// Template to explain.
	Template *template.Template
	// Kind of the template.
	Kind source.Kind
	// Namespace of the template, nil when it has none.
	Namespace *template.Template
	// Clusters of the fleet.
	Clusters []*clusterv1alpha1.Cluster
	// Propagations and Overrides are the policies.
	Propagations []policyv1alpha1.Propagation
	Overrides    []policyv1alpha1.Override
	// Bindings are those of the namespace, with that of the template.
	Bindings []workv1alpha1.Binding
}

// Explanation is how a template would be decided about now.
type Explanation struct {
	// Policies that pick the template, in the order in which they win.
	Policies []PolicyVerdict
	// Members are all there are, by name.
	Members []MemberVerdict
	// Clusters that would be chosen.
	Clusters []workv1alpha1.TargetCluster
	// Overrides that would apply.
	Overrides []workv1alpha1.ResolvedOverride
	// Result of the decision: placed, unchanged, held, unschedulable or error.
	Result string
	// Why nothing is placed, empty when it is.
	Why string
}

// PolicyVerdict is one policy that picks a template.
type PolicyVerdict struct {
	// Namespace of the policy, empty for a cluster policy.
	Namespace string
	// Name of the policy.
	Name string
	// Priority of the policy.
	Priority int32
	// By is what its most precise selector goes by.
	By string
	// Follows says that this is the one the template follows.
	Follows bool
}

// MemberVerdict is what is made of one member.
type MemberVerdict struct {
	// Name of the member.
	Name string
	// Plugin that refused it, empty when none did.
	Plugin string
	// Refusal in its words.
	Refusal string
	// Considered says that it passed the filters of the last affinity tried.
	Considered bool
	// Score it got.
	Score int64
	// Room for more replicas.
	Room int32
	// Before are the replicas the binding gives it; Placed says that it lists it.
	Before int32
	Placed bool
	// After are those it would get; Chosen says that it would be listed.
	After  int32
	Chosen bool
}

// Explain decides about a template in memory, as a scheduler with the default
// configuration would, and says how. Nothing is written.
func Explain(ctx context.Context, state State) (*Explanation, error) {
	s, err := newScheduler(Config{})
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", state.Template.Key(), err)
	}
	defer s.queue.ShutDown()
	if err := s.load(state); err != nil {
		return nil, fmt.Errorf("explain %s: %w", state.Template.Key(), err)
	}
	subject := s.lookUp(state.Template.Key())
	var considered []*framework.Candidate
	subject.watch = func(candidates []*framework.Candidate) { considered = candidates }
	d := s.decide(ctx, subject)
	out := &Explanation{Result: d.result, Why: d.why, Policies: s.verdicts(subject)}
	if left := d.left(); left != nil {
		out.Clusters, out.Overrides = left.Clusters, left.Overrides
	}
	for _, member := range s.cache.Members() {
		out.Members = append(out.Members, memberVerdict(member.Name(), d, considered, out.Clusters))
	}
	return out, nil
}

// load has the scheduler know a state.
func (s *Scheduler) load(state State) error {
	s.templates = lone{state}
	for _, cluster := range state.Clusters {
		s.cache.SetMember(cluster)
	}
	for _, p := range state.Propagations {
		if _, err := s.policies.Set(p); err != nil {
			return fmt.Errorf("read policy %q: %w", p.GetName(), err)
		}
	}
	for _, o := range state.Overrides {
		if _, err := s.overrides.Set(o); err != nil {
			return fmt.Errorf("read override policy %q: %w", o.GetName(), err)
		}
	}
	for _, binding := range state.Bindings {
		s.cache.SetBinding(binding)
	}
	s.needs.Update(nil, state.Template)
	return nil
}

func (s *Scheduler) verdicts(subject *subject) []PolicyVerdict {
	var out []PolicyVerdict
	for _, match := range s.policies.Matches(subject.template) {
		out = append(out, PolicyVerdict{
			Namespace: match.Policy.GetNamespace(),
			Name:      match.Policy.GetName(),
			Priority:  match.Policy.GetSpec().Priority,
			By:        match.By.Precision().String(),
			Follows:   subject.match != nil && policy.RefOf(subject.match.Policy) == policy.RefOf(match.Policy),
		})
	}
	return out
}

func memberVerdict(name string, d *decision, considered []*framework.Candidate, clusters []workv1alpha1.TargetCluster) MemberVerdict {
	verdict := MemberVerdict{Name: name}
	verdict.Before, verdict.Placed = d.placed[name]
	for _, candidate := range considered {
		if candidate.Name() == name {
			verdict.Considered, verdict.Score, verdict.Room = true, candidate.Score, candidate.Room
		}
	}
	for _, reason := range d.diagnosis.Reasons {
		if reason.ClusterName == name {
			verdict.Plugin, verdict.Refusal = reason.Plugin, reason.Message
		}
	}
	for _, cluster := range clusters {
		if cluster.Name == name {
			verdict.After, verdict.Chosen = cluster.Replicas, true
		}
	}
	return verdict
}

// lone is the templates of a state: one, and its namespace.
type lone struct{ State }

var _ templates = lone{}

// Get implements templates.
func (l lone) Get(key template.Key) *template.Template {
	switch {
	case key == l.Template.Key():
		return l.Template
	case l.Namespace != nil && key == l.Namespace.Key():
		return l.Namespace
	default:
		return nil
	}
}

// Kind implements templates.
func (l lone) Kind(kind schema.GroupKind) (source.Kind, bool) {
	return l.State.Kind, kind == l.Template.Kind.GroupKind()
}

// Listed implements templates.
func (l lone) Listed(kind schema.GroupKind) bool { return kind != template.PriorityClasses }

// InNamespace implements templates.
func (l lone) InNamespace(string) []*template.Template { return nil }

// Matching implements templates.
func (l lone) Matching([]policy.Selector) map[template.Key]*template.Template { return nil }

// Live implements templates. Nothing is written that would have to be confirmed.
func (l lone) Live(_ context.Context, key template.Key) (*metav1.PartialObjectMetadata, error) {
	return nil, fmt.Errorf("get %s: %w", key, source.ErrNotServed)
}
