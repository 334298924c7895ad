// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// Values of the label target.
const (
	targetBinding  = "binding"
	targetTemplate = "template"
)

var (
	itemsReceived = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "fleet", Subsystem: "feedback", Name: "items_total", StabilityLevel: metrics.ALPHA,
		Help: "Reports received from members, one per work.",
	})
	itemsAnswered = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "fleet", Subsystem: "feedback", Name: "answers_total", StabilityLevel: metrics.ALPHA,
		Help: "Reports answered, by reason: Accepted, NotFound, Stale, Failed.",
	}, []string{"reason"})
	batchesPending = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "fleet", Subsystem: "feedback", Name: "pending_bindings", StabilityLevel: metrics.ALPHA,
		Help: "Bindings with reports that are not written yet.",
	})
	flushes = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "fleet", Subsystem: "feedback", Name: "flushes_total", StabilityLevel: metrics.ALPHA,
		Help: "Times the status of a binding and its template was made.",
	})
	flushLatency = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace: "fleet", Subsystem: "feedback", Name: "flush_latency_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time from the first report on a binding until all that follows from it is written, the window included.",
		Buckets: metrics.ExponentialBuckets(0.05, 2, 10),
	})
	writes = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "fleet", Subsystem: "feedback", Name: "writes_total", StabilityLevel: metrics.ALPHA,
		Help: "Writes of a status, by target: binding or template.",
	}, []string{"target"})
	conflicts = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "fleet", Subsystem: "feedback", Name: "conflicts_total", StabilityLevel: metrics.ALPHA,
		Help: "Writes that met a newer object and were tried again, by target: binding or template.",
	}, []string{"target"})
	refusals = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "fleet", Subsystem: "feedback", Name: "refused_statuses_total", StabilityLevel: metrics.ALPHA,
		Help: "Statuses of templates that the API server found invalid.",
	})

	registerMetrics = sync.OnceFunc(func() {
		legacyregistry.MustRegister(itemsReceived, itemsAnswered, batchesPending, flushes, flushLatency, writes, conflicts, refusals)
	})
)

func countConflict(target string, err error) {
	if apierrors.IsConflict(err) {
		conflicts.WithLabelValues(target).Inc()
	}
}
