// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

const (
	metricsNamespace = "fleet"
	metricsSubsystem = "derived"
)

var (
	worksGauge = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "works",
		Help:           "Number of works served.",
		StabilityLevel: metrics.ALPHA,
	})
	bindingsGauge = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "bindings",
		Help:           "Number of bindings works are rendered from.",
		StabilityLevel: metrics.ALPHA,
	})
	rendersTotal = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "renders_total",
		Help:           "Number of times the works of a binding were rendered.",
		StabilityLevel: metrics.ALPHA,
	})
	renderSeconds = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "render_duration_seconds",
		Help:           "Time to render the works of a binding, decoding of the template included.",
		Buckets:        metrics.ExponentialBuckets(0.0001, 2, 14),
		StabilityLevel: metrics.ALPHA,
	})
	changesTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "changes_total",
		Help:           "Number of changes of works, by type: ADDED, MODIFIED or DELETED.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	renderErrorsTotal = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "render_errors_total",
		Help:           "Number of works that could not be rendered; they stay as they were.",
		StabilityLevel: metrics.ALPHA,
	})
	decodeErrorsTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "decode_errors_total",
		Help:           "Number of stored objects that could not be decrypted or decoded, by what they are: binding, template or definition.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"object"})
	templateReadsTotal = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "template_reads_total",
		Help:           "Number of templates read from etcd because a new binding refers to one that was not written lately.",
		StabilityLevel: metrics.ALPHA,
	})
	loadsTotal = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "loads_total",
		Help:           "Number of times everything was read from etcd: once at start, then only when etcd compacted what was missed, or was restored.",
		StabilityLevel: metrics.ALPHA,
	})
	watchRestartsTotal = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "watch_restarts_total",
		Help:           "Number of times the watch of etcd ended and was resumed.",
		StabilityLevel: metrics.ALPHA,
	})
	revisionGauge = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "revision",
		Help:           "Revision of etcd the works are as of.",
		StabilityLevel: metrics.ALPHA,
	})
	lagGauge = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "lag_revisions",
		Help:           "Number of revisions the works were behind etcd when it last sent something.",
		StabilityLevel: metrics.ALPHA,
	})
)

// registerMetrics registers the metrics once.
var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(
		worksGauge, bindingsGauge, rendersTotal, renderSeconds, changesTotal, renderErrorsTotal,
		decodeErrorsTotal, templateReadsTotal, loadsTotal, watchRestartsTotal, revisionGauge, lagGauge,
	)
})
