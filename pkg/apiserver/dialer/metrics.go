// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dialer

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// Values of the label result.
const (
	resultConnected = "connected"
	resultFailed    = "failed"
)

var (
	connections = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "fleet", Subsystem: "dialer", Name: "connections", StabilityLevel: metrics.ALPHA,
		Help: "Connections to Pods of members that webhooks, APIServices and proxies have open, idle ones included.",
	})
	dials = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "fleet", Subsystem: "dialer", Name: "dials_total", StabilityLevel: metrics.ALPHA,
		Help: "Members that were dialed for a Service, by result: connected or failed. One dial of a Service may try several.",
	}, []string{"result"})
	seconds = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace: "fleet", Subsystem: "dialer", Name: "dial_duration_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "How long it took until a Service was connected to, or no member was left to try.",
		Buckets: metrics.ExponentialBuckets(0.005, 2, 13),
	})

	registerMetrics = sync.OnceFunc(func() {
		legacyregistry.MustRegister(connections, dials, seconds)
	})
)

// counted counts what became of dialing a member.
func counted(err error) error {
	result := resultConnected
	if err != nil {
		result = resultFailed
	}
	dials.WithLabelValues(result).Inc()
	return err
}
