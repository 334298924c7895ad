// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// Values of the label result.
const (
	resultAccepted = "accepted"
	resultFailed   = "failed"
)

var (
	openTunnels = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "fleet", Subsystem: "tunnel", Name: "connections", StabilityLevel: metrics.ALPHA,
		Help: "Members with a tunnel to this server.",
	})
	openStreams = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "fleet", Subsystem: "tunnel", Name: "streams", StabilityLevel: metrics.ALPHA,
		Help: "Streams that are open over all tunnels, idle ones included.",
	})
	handshakes = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "fleet", Subsystem: "tunnel", Name: "handshakes_total", StabilityLevel: metrics.ALPHA,
		Help: "Requests of agents for a tunnel, by result: accepted or failed.",
	}, []string{"result"})

	registerMetrics = sync.OnceFunc(func() {
		legacyregistry.MustRegister(openTunnels, openStreams, handshakes)
	})
)
