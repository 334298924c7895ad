// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

type claimMember = reported[corev1.PersistentVolumeClaimStatus]

// persistentVolumeClaim is bound when it is bound in every member and lost when
// it is lost in one. Capacity and access modes are what a Pod gets in whichever
// member it runs. The rest is about the one volume of a single member.
func persistentVolumeClaim(in input[corev1.PersistentVolumeClaim, corev1.PersistentVolumeClaimStatus]) corev1.PersistentVolumeClaimStatus {
	if len(in.members) == 1 && in.members[0].present {
		return in.members[0].status
	}
	status := corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
	switch {
	case slices.ContainsFunc(in.members, func(m claimMember) bool { return m.status.Phase == corev1.ClaimLost }):
		status.Phase = corev1.ClaimLost
	case all(in.members, func(m claimMember) bool { return m.status.Phase == corev1.ClaimBound }):
		status.Phase = corev1.ClaimBound
		status.Capacity = leastCapacity(in.members)
		status.AccessModes = commonAccessModes(in.members)
	}
	return status
}

// leastCapacity returns, per resource that every member has, the smallest amount.
func leastCapacity(members []claimMember) corev1.ResourceList {
	least := members[0].status.Capacity.DeepCopy()
	for _, member := range members[1:] {
		for name, quantity := range least {
			other, ok := member.status.Capacity[name]
			switch {
			case !ok:
				delete(least, name)
			case other.Cmp(quantity) < 0:
				least[name] = other
			}
		}
	}
	return least
}

// commonAccessModes returns the modes that every member has, in the order of the
// first.
func commonAccessModes(members []claimMember) []corev1.PersistentVolumeAccessMode {
	var common []corev1.PersistentVolumeAccessMode
	for _, mode := range members[0].status.AccessModes {
		if all(members, func(m claimMember) bool { return slices.Contains(m.status.AccessModes, mode) }) {
			common = append(common, mode)
		}
	}
	return common
}
