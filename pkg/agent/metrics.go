// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

const subsystem = "fleet_agent"

var (
	certificateExpiration = metrics.NewGauge(&metrics.GaugeOpts{
		Subsystem: subsystem, Name: "certificate_expiration_seconds", StabilityLevel: metrics.ALPHA,
		Help: "When the certificate the agent shows to the fleet expires, in seconds since 1970.",
	})
	certificateFailures = metrics.NewCounter(&metrics.CounterOpts{
		Subsystem: subsystem, Name: "certificate_renewal_failures_total", StabilityLevel: metrics.ALPHA,
		Help: "Attempts to renew the certificate that ended without one.",
	})
)

var registerMetrics = sync.OnceFunc(func() {
	legacyregistry.MustRegister(certificateExpiration, certificateFailures)
})
