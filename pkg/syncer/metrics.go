// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

const subsystem = "fleet_syncer"

var (
	applies = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem: subsystem, Name: "applies_total", StabilityLevel: metrics.ALPHA,
		Help: "Server-side applies sent to members, by result (success or error).",
	}, []string{"result"})
	noops = metrics.NewCounter(&metrics.CounterOpts{
		Subsystem: subsystem, Name: "noops_total", StabilityLevel: metrics.ALPHA,
		Help: "Looks at works whose object was as it should be, so that nothing was sent.",
	})
	deletes = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem: subsystem, Name: "deletes_total", StabilityLevel: metrics.ALPHA,
		Help: "Objects deleted from members by tombstones, by result (success, released or error).",
	}, []string{"result"})
	driftCorrections = metrics.NewCounter(&metrics.CounterOpts{
		Subsystem: subsystem, Name: "drift_corrections_total", StabilityLevel: metrics.ALPHA,
		Help: "Applies that put right what somebody changed in a member.",
	})
	feedbackBatches = metrics.NewCounterVec(&metrics.CounterOpts{
		Subsystem: subsystem, Name: "feedback_batches_total", StabilityLevel: metrics.ALPHA,
		Help: "Feedback requests sent to the fleet, by result (success or error).",
	}, []string{"result"})
	feedbackItems = metrics.NewCounter(&metrics.CounterOpts{
		Subsystem: subsystem, Name: "feedback_items_total", StabilityLevel: metrics.ALPHA,
		Help: "Reports on works the fleet answered.",
	})
	queueDepth = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Subsystem: subsystem, Name: "queue_depth", StabilityLevel: metrics.ALPHA,
		Help: "Works that wait to be looked at, by member.",
	}, []string{"cluster"})
	unknownObjects = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Subsystem: subsystem, Name: "unknown_objects", StabilityLevel: metrics.ALPHA,
		Help: "Objects of this fleet found in a member at the last full read that no work asks for, by member. They are left running.",
	}, []string{"cluster"})
	applyDuration = metrics.NewHistogram(&metrics.HistogramOpts{
		Subsystem: subsystem, Name: "apply_duration_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time a member took to answer a server-side apply.",
		Buckets: metrics.ExponentialBuckets(0.002, 2, 13),
	})
	sessions = metrics.NewGauge(&metrics.GaugeOpts{
		Subsystem: subsystem, Name: "sessions", StabilityLevel: metrics.ALPHA,
		Help: "Members this syncer serves.",
	})
)

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(applies, noops, deletes, driftCorrections, feedbackBatches, feedbackItems,
		queueDepth, unknownObjects, applyDuration, sessions)
})
