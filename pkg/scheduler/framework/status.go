// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package framework

import (
	"fmt"
	"slices"
	"strings"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Status is why a plugin said no; nil is yes.
type Status struct {
	err     error
	message string
}

// Refuse returns the Status of a template that cannot be placed as things are.
// Members refused for the same cause should have the same message, which is
// counted: "3 untolerated taint".
func Refuse(message string) *Status { return &Status{message: message} }

// AsStatus returns the Status of a failure, nil for nil.
func AsStatus(err error) *Status {
	if err == nil {
		return nil
	}
	return &Status{err: err, message: err.Error()}
}

// Err is the failure, nil for a refusal.
func (s *Status) Err() error {
	if s == nil {
		return nil
	}
	return s.err
}

// Message says why, for people.
func (s *Status) Message() string {
	if s == nil {
		return ""
	}
	return s.message
}

// Diagnosis collects why members were refused in one cycle.
type Diagnosis struct {
	// Members is the number of members there are.
	Members int
	// Feasible is the number of members that passed all filters.
	Feasible int
	// Reasons by member, sorted by its name.
	Reasons []workv1alpha1.ClusterReason
	// Note is a refusal that is about no member in particular.
	Note string
	// Events may lift one of the refusals.
	Events Event
}

// FitError says that no member, or too few, can take a template.
type FitError struct {
	// Reason of the condition Scheduled: NoClusterFit or Unschedulable.
	Reason string
	// Diagnosis of the cycle.
	Diagnosis Diagnosis
}

// Error implements error, in the words of kube-scheduler.
func (e *FitError) Error() string {
	d := e.Diagnosis
	counts := map[string]int{}
	for _, reason := range d.Reasons {
		counts[reason.Message]++
	}
	causes := make([]string, 0, len(counts)+1)
	for message, n := range counts {
		causes = append(causes, fmt.Sprintf("%d %s", n, message))
	}
	slices.Sort(causes)
	if d.Note != "" {
		causes = append(causes, d.Note)
	}
	summary := fmt.Sprintf("%d/%d clusters are available", d.Feasible, d.Members)
	if len(causes) == 0 {
		return summary
	}
	return summary + ": " + strings.Join(causes, ", ")
}
