// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"cmp"
	"math"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// resourceID numbers a resource, so that amounts are looked up by index. Clusters
// know a few dozen resources; numbers are never given back.
type resourceID int

var resources = struct {
	sync.RWMutex
	ids map[corev1.ResourceName]resourceID
}{ids: map[corev1.ResourceName]resourceID{}}

// podsID is the resource that every Pod takes one of.
var podsID = idOf(corev1.ResourcePods)

func idOf(name corev1.ResourceName) resourceID {
	resources.RLock()
	id, ok := resources.ids[name]
	resources.RUnlock()
	if ok {
		return id
	}
	resources.Lock()
	defer resources.Unlock()
	if id, ok = resources.ids[name]; !ok {
		id = resourceID(len(resources.ids))
		resources.ids[name] = id
	}
	return id
}

// vector is an amount of each resource: CPU in thousandths, everything else in
// units. What is beyond its end is nothing.
type vector []int64

func newVector(list corev1.ResourceList) vector {
	var v vector
	for name, quantity := range list {
		v = v.set(idOf(name), amountOf(name, quantity))
	}
	return v
}

// amountOf is a quantity as a number; quotas have names of their own for CPU.
func amountOf(name corev1.ResourceName, quantity resource.Quantity) int64 {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU:
		return quantity.MilliValue()
	default:
		return quantity.Value()
	}
}

func (v vector) set(id resourceID, value int64) vector {
	if missing := int(id) + 1 - len(v); missing > 0 {
		v = append(v, make(vector, missing)...)
	}
	v[id] = value
	return v
}

func (v vector) at(id resourceID) int64 {
	if int(id) < len(v) {
		return v[id]
	}
	return 0
}

// times is how often the amounts fit into v.
func (v vector) times(each []amount) int64 {
	fit := int64(math.MaxInt64)
	for _, a := range each {
		fit = min(fit, max(v.at(a.id), 0)/a.value)
	}
	return fit
}

// without is v less n times the amounts, never less than nothing.
func (v vector) without(each []amount, n int64) vector {
	out := slices.Clone(v)
	for _, a := range each {
		if int(a.id) < len(out) {
			out[a.id] = max(out[a.id]-a.value*n, 0)
		}
	}
	return out
}

// add adds n times other to v.
func (v vector) add(other vector, n int64) vector {
	for id, value := range other {
		v = v.set(resourceID(id), v.at(resourceID(id))+value*n)
	}
	return v
}

// amount of one resource.
type amount struct {
	id    resourceID
	value int64
}

func byID(a, b amount) int { return cmp.Compare(a.id, b.id) }

// amounts lists what there is more than none of, in the order of ids.
func (v vector) amounts() []amount {
	out := make([]amount, 0, len(v))
	for id, value := range v {
		if value > 0 {
			out = append(out, amount{id: resourceID(id), value: value})
		}
	}
	return out
}

// amountsIn lists all of a list, what there is none of included.
func amountsIn(list corev1.ResourceList) []amount {
	out := make([]amount, 0, len(list))
	for name, quantity := range list {
		out = append(out, amount{id: idOf(name), value: amountOf(name, quantity)})
	}
	slices.SortFunc(out, byID)
	return out
}

// find returns the amount of a resource, false when it is not among those.
func find(among []amount, id resourceID) (int64, bool) {
	at, found := slices.BinarySearchFunc(among, amount{id: id}, byID)
	if !found {
		return 0, false
	}
	return among[at].value, true
}
