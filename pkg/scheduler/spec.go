// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/strategy"
)

// wantedSpec is the spec of the binding after a decision. What others write stays.
func wantedSpec(subject *subject, plan *strategy.Plan, clusters []workv1alpha1.TargetCluster, how differences) *workv1alpha1.BindingSpec {
	spec := &workv1alpha1.BindingSpec{Resource: subject.template.Reference()}
	if subject.binding != nil {
		old := *subject.binding.GetSpec()
		if subject.recreated() {
			old.GracefulEvictionTasks = nil
		} else {
			// resourceVersion tells what was decided upon first; to keep it current
			// would be a write per change of the template.
			old.Resource.APIVersion = spec.Resource.APIVersion
			spec.Resource = old.Resource
		}
		old.Resource = spec.Resource
		spec = &old
	}
	follow(spec, subject.match.Policy)
	spec.Placement = plan.Placement
	spec.Clusters = clusters
	spec.Overrides, spec.Versions = how.overrides, how.versions
	spec.RequiredBy = subject.requiredBy
	spec.SchedulePriority = subject.schedulePriority()
	spec.Replicas, spec.ReplicaRequirements, spec.ReplicaRevision, spec.Components = 0, nil, "", nil
	workload := subject.template.Workload
	if workload != nil {
		spec.Components = workload.Components
	}
	if workload != nil && len(workload.Components) == 0 && (workload.Replicated || workload.Divisible && plan.Division != framework.DivideNothing) {
		spec.Replicas, spec.ReplicaRequirements = workload.Pods, workload.Requirements
		if plan.Division != framework.DivideNothing {
			spec.ReplicaRevision = subject.kind.ReplicaRevision
		}
	}
	return spec
}

// follow copies into a spec what a policy says about more than the placement.
func follow(spec *workv1alpha1.BindingSpec, from policyv1alpha1.Propagation) {
	policy := from.GetSpec()
	spec.Policy = &workv1alpha1.PolicyReference{
		Namespace:  from.GetNamespace(),
		Name:       from.GetName(),
		UID:        from.GetUID(),
		Generation: from.GetGeneration(),
	}
	spec.Placement = &policy.Placement
	spec.PropagateDeps = policy.PropagateDeps || policy.Association //nolint:staticcheck // manifests of Karmada have it
	spec.SchedulerName = schedulerName(policy)
	spec.Failover = policy.Failover
	spec.ConflictResolution = cmp.Or(policy.ConflictResolution, policyv1alpha1.ConflictIfNoDiff)
	spec.RecreatePolicy = recreatePolicy(policy.RecreatePolicy)
	spec.PreserveResourcesOnDeletion = policy.PreserveResourcesOnDeletion
	spec.Suspension = suspension(spec.Suspension, policy.Suspension)
}

// recreatePolicy leaves out of a binding what goes without saying.
func recreatePolicy(from policyv1alpha1.RecreatePolicy) policyv1alpha1.RecreatePolicy {
	if from == policyv1alpha1.RecreateNever {
		return ""
	}
	return from
}

func schedulerName(policy *policyv1alpha1.PropagationSpec) string {
	return cmp.Or(policy.SchedulerName, wellknown.DefaultSchedulerName)
}

// suspension is that of the policy, but for the scheduling, which is asked for on
// the binding itself.
func suspension(old *workv1alpha1.Suspension, from *policyv1alpha1.Suspension) *workv1alpha1.Suspension {
	out := workv1alpha1.Suspension{}
	if old != nil {
		out.Scheduling = old.Scheduling
	}
	if from != nil {
		out.Dispatching, out.DispatchingOnClusters = from.Dispatching, from.DispatchingOnClusters
	}
	if out == (workv1alpha1.Suspension{}) {
		return nil
	}
	return &out
}

// patchOperation is an operation of a JSON patch.
type patchOperation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// patchFor returns the JSON patch that changes a binding to the wanted spec, field
// by field, under the condition that its spec is still the one decided upon. Its
// status may change meanwhile, and does all the time.
func patchFor(binding workv1alpha1.Binding, wanted *workv1alpha1.BindingSpec) ([]byte, error) {
	was, err := fields(binding.GetSpec())
	if err != nil {
		return nil, err
	}
	will, err := fields(wanted)
	if err != nil {
		return nil, err
	}
	generation, err := json.Marshal(binding.GetGeneration())
	if err != nil {
		return nil, err
	}
	uid, err := json.Marshal(binding.GetUID())
	if err != nil {
		return nil, err
	}
	patch := []patchOperation{
		{Op: "test", Path: "/metadata/uid", Value: uid},
		{Op: "test", Path: "/metadata/generation", Value: generation},
	}
	for _, name := range union(was, will) {
		switch old, now := string(was[name]), string(will[name]); {
		case old == now:
		case now == "":
			patch = append(patch, patchOperation{Op: "remove", Path: "/spec/" + name})
		default:
			patch = append(patch, patchOperation{Op: "add", Path: "/spec/" + name, Value: will[name]})
		}
	}
	return json.Marshal(patch)
}

func fields(spec *workv1alpha1.BindingSpec) (map[string]json.RawMessage, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encode binding: %w", err)
	}
	out := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("encode binding: %w", err)
	}
	return out, nil
}

func union(a, b map[string]json.RawMessage) []string {
	var names []string
	for name := range a {
		names = append(names, name)
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
