// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"cmp"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Vector is an amount of each resource: CPU in thousandths, everything else in
// units.
type Vector map[corev1.ResourceName]int64

func newVector(list corev1.ResourceList) Vector {
	out := make(Vector, len(list)+1)
	for name, quantity := range list {
		out[name] = amountOf(name, quantity)
	}
	return out
}

// times is how often the amounts fit into v.
func (v Vector) times(each []amount) int64 {
	fit := int64(math.MaxInt64)
	for _, a := range each {
		fit = min(fit, max(v[a.name], 0)/a.value)
	}
	return fit
}

// amount of one resource.
type amount struct {
	name  corev1.ResourceName
	value int64
}

func byName(a, b amount) int { return cmp.Compare(a.name, b.name) }

// amounts lists what v has more than none of, by name.
func (v Vector) amounts() []amount {
	out := make([]amount, 0, len(v))
	for name, value := range v {
		if value > 0 {
			out = append(out, amount{name: name, value: value})
		}
	}
	slices.SortFunc(out, byName)
	return out
}

// Add adds factor times other to v.
func (v Vector) Add(other Vector, factor int64) {
	for name, amount := range other {
		v[name] += amount * factor
	}
}
