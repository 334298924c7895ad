// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// prioritize finds out the priority that the policy of a template asks for. It
// returns the name of the PriorityClass that is missing for it. A class that is
// deleted leaves its value to what has it, as it does to Pods.
func (s *Scheduler) prioritize(subject *subject) (missing string) {
	asked := subject.match.Policy.GetSpec().SchedulePriority
	if asked == nil {
		return ""
	}
	subject.priority = &template.Priority{}
	name := asked.PriorityClassName
	if asked.PriorityClassSource == policyv1alpha1.PodPriorityClass {
		if name = podClass(subject.template.Workload); name == "" {
			subject.priority = s.defaultPriority()
			return ""
		}
	}
	if class := s.templates.Get(template.PriorityClassKey(name)); class != nil && class.Priority != nil {
		subject.priority = class.Priority
		return ""
	}
	if subject.placed != nil && subject.binding.GetSpec().SchedulePriority != nil {
		subject.priority.Value = subject.binding.GetSpec().SchedulePriority.Priority
		return ""
	}
	if !s.templates.Listed(template.PriorityClasses) {
		return ""
	}
	subject.priority = nil
	return name
}

// podClass is the PriorityClass of the Pods of a workload, empty when they name
// none. Of several components the first that names one speaks for all.
func podClass(workload *template.Workload) string {
	if workload == nil {
		return ""
	}
	if workload.Requirements != nil {
		return workload.Requirements.PriorityClassName
	}
	for _, component := range workload.Components {
		if r := component.ReplicaRequirements; r != nil && r.PriorityClassName != "" {
			return r.PriorityClassName
		}
	}
	return ""
}

// defaultPriority is that of Pods that name no class. Of several default classes
// it is the lowest, as upstream's admission takes it.
func (s *Scheduler) defaultPriority() *template.Priority {
	var lowest *template.Priority
	selector := policy.Selector{Group: template.PriorityClasses.Group, Kind: template.PriorityClasses.Kind}
	for _, class := range s.templates.Matching([]policy.Selector{selector}) {
		if p := class.Priority; p != nil && p.Default && (lowest == nil || p.Value < lowest.Value) {
			lowest = p
		}
	}
	if lowest == nil {
		return &template.Priority{Preempts: true}
	}
	return lowest
}

// schedulePriority is what the binding records of the priority.
func (s *subject) schedulePriority() *workv1alpha1.SchedulePriority {
	if s.priority == nil {
		return nil
	}
	return &workv1alpha1.SchedulePriority{Priority: s.priority.Value}
}
