// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"sync"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	refusedObjects = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "fleet", Subsystem: "projection", Name: "refused_objects_total", StabilityLevel: metrics.ALPHA,
		Help: "Objects of members that were not shown when they came or changed, by resource and reason: Name, Namespace or TooLarge.",
	}, []string{"resource", "reason"})

	registerMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(refusedObjects) })
)
