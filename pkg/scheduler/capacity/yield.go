// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import "math"

// Yield is how many Pods fit in the place of one that goes, 0 when that is not
// certain: because nodes that may run the one do not take the other, because the
// place is too small, or because Pods of the other care where they are.
func (s *Summary) Yield(goes, demand *Demand) int32 {
	if s == nil || demand.named || demand.alone || len(demand.ports) > 0 || len(demand.topology) > 0 {
		return 0
	}
	for i := range s.reported.classes {
		c := &s.reported.classes[i]
		if c.admits(goes) && !c.admits(demand) {
			return 0
		}
	}
	fit := int64(math.MaxInt32)
	for _, wanted := range demand.each {
		if wanted.id == podsID {
			continue
		}
		held, _ := find(goes.each, wanted.id)
		fit = min(fit, held/wanted.value)
	}
	if fit == math.MaxInt32 {
		// It asks for no more than to be a Pod.
		return 1
	}
	return int32(fit)
}
