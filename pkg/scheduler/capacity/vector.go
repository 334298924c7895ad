// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math"

	corev1 "k8s.io/api/core/v1"
)

// Vector is an amount of each resource: CPU in thousandths, everything else in
// units.
type Vector map[corev1.ResourceName]int64

func newVector(list corev1.ResourceList) Vector {
	out := make(Vector, len(list)+1)
	for name, quantity := range list {
		if name == corev1.ResourceCPU {
			out[name] = quantity.MilliValue()
			continue
		}
		out[name] = quantity.Value()
	}
	return out
}

// times is how often demand fits into v.
func (v Vector) times(demand Vector) int64 {
	fit := int64(math.MaxInt64)
	for name, each := range demand {
		if each > 0 {
			fit = min(fit, max(v[name], 0)/each)
		}
	}
	return fit
}

// Add adds factor times other to v.
func (v Vector) Add(other Vector, factor int64) {
	for name, amount := range other {
		v[name] += amount * factor
	}
}

// minus returns v less other, in a new Vector with the resources of v.
func (v Vector) minus(other Vector) Vector {
	out := make(Vector, len(v))
	for name, amount := range v {
		out[name] = amount - other[name]
	}
	return out
}
