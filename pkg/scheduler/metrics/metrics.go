// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

const subsystem = "fleet_scheduler"

// Results of a decision.
const (
	// Placed is a decision that changes a binding.
	Placed = "placed"
	// Unchanged is a decision that is what the binding says already.
	Unchanged = "unchanged"
	// Held is a template that is not to be placed for now.
	Held = "held"
	// Released is a template that is gone and leaves its members.
	Released = "released"
	// Unschedulable is a template that no member can take.
	Unschedulable = "unschedulable"
	// Failed is a decision that could not be made.
	Failed = "error"
)

// Writes of a decision.
const (
	// Create is the creation of a binding.
	Create = "create"
	// Update is a change of a binding.
	Update = "update"
	// Delete is the deletion of an empty binding.
	Delete = "delete"
	// Status is a change of the status of a binding.
	Status = "status"
)

var (
	// Decisions counts decisions by result.
	Decisions = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "decisions_total",
		Help:           "Number of decisions, by result: placed, unchanged, held, released, unschedulable or error.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"result"})

	// DecisionDuration is how long a decision takes, without writing it.
	DecisionDuration = metrics.NewHistogram(&metrics.HistogramOpts{
		Subsystem:      subsystem,
		Name:           "decision_duration_seconds",
		Help:           "Time a decision takes, without writing it.",
		Buckets:        metrics.ExponentialBuckets(0.00001, 2, 16),
		StabilityLevel: metrics.ALPHA,
	})

	// Writes counts writes to bindings by operation and result.
	Writes = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem:      subsystem,
		Name:           "writes_total",
		Help:           "Number of writes to bindings, by operation (create, update, delete or status) and result (success, stale or error).",
		StabilityLevel: metrics.ALPHA,
	}, []string{"operation", "result"})

	// WriteDuration is how long a decision takes to be written.
	WriteDuration = metrics.NewHistogram(&metrics.HistogramOpts{
		Subsystem:      subsystem,
		Name:           "write_duration_seconds",
		Help:           "Time a decision takes to be written.",
		Buckets:        metrics.ExponentialBuckets(0.0005, 2, 15),
		StabilityLevel: metrics.ALPHA,
	})

	// Waiting is the number of templates that wait for an event.
	Waiting = metrics.NewGauge(&metrics.GaugeOpts{
		Subsystem:      subsystem,
		Name:           "waiting_templates",
		Help:           "Number of templates that wait for a change of some member.",
		StabilityLevel: metrics.ALPHA,
	})

	// Unschedulables is the number of templates that no member can take.
	Unschedulables = metrics.NewGauge(&metrics.GaugeOpts{
		Subsystem:      subsystem,
		Name:           "unschedulable_templates",
		Help:           "Number of templates that no member can take.",
		StabilityLevel: metrics.ALPHA,
	})
)

var register sync.Once

// Register makes the metrics visible; only the first call does.
func Register() {
	register.Do(func() {
		legacyregistry.MustRegister(Decisions, DecisionDuration, Writes, WriteDuration, Waiting, Unschedulables)
	})
}
