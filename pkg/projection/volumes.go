// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// Claims are the PersistentVolumeClaims that members made for the fleet's StatefulSets,
// known by their names: they carry no label of the fleet, and no owner. They are changed
// only while the set is there to confirm it.
func Claims(templates Templates) Kind {
	return Kind{
		Resource:   corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"),
		Kind:       claimKind.Kind,
		Namespaced: true,
		References: templateReferences(templates),
		New:        func() runtime.Object { return &corev1.PersistentVolumeClaim{} },
		NewList:    func() runtime.Object { return &corev1.PersistentVolumeClaimList{} },
		Project: func(member string, object runtime.Object) bool {
			claim, ok := object.(*corev1.PersistentVolumeClaim)
			if !ok || isCopy(claim) || !claimOfFleets(member, claim.Namespace, claim.Name, templates) {
				return false
			}
			claim.Spec.VolumeName = volumeName(member, claim.Spec.VolumeName)
			return true
		},
		Confirm: confirmClaim(templates),
		Own: func(before, after runtime.Object) error {
			old, ok := before.(*corev1.PersistentVolumeClaim)
			updated, isClaim := after.(*corev1.PersistentVolumeClaim)
			switch {
			case !ok || !isClaim:
				return errors.New("the object is no PersistentVolumeClaim")
			case old.Spec.VolumeName != updated.Spec.VolumeName:
				return errors.New("the volume of the claim is the member's decision")
			default:
				return ownMetadata(old, updated)
			}
		},
	}
}

// Volumes are the PersistentVolumes of members that are bound to claims of the fleet. They
// are <volume>.<member>: members give the same names.
func Volumes(templates Templates) Kind {
	return Kind{
		Resource: corev1.SchemeGroupVersion.WithResource("persistentvolumes"),
		Kind:     "PersistentVolume",
		Suffixed: true,
		ReadOnly: true,
		New:      func() runtime.Object { return &corev1.PersistentVolume{} },
		NewList:  func() runtime.Object { return &corev1.PersistentVolumeList{} },
		Project: func(member string, object runtime.Object) bool {
			volume, ok := object.(*corev1.PersistentVolume)
			return ok && volume.Spec.ClaimRef != nil && projectVolume(member, volume.Spec.ClaimRef, templates)
		},
	}
}

// projectVolume has a volume be bound to the fleet's claim. It returns false when the claim
// is not the fleet's.
func projectVolume(member string, claim *corev1.ObjectReference, templates Templates) bool {
	var uid types.UID
	switch found, stored := templates.Template(member, claimKind, claim.Namespace, claim.Name); {
	case stored:
		uid = found
	case claimOfFleets(member, claim.Namespace, claim.Name, templates):
		uid = claim.UID
	default:
		return false
	}
	claim.UID, claim.ResourceVersion = uid, ""
	return true
}

// volumeName is the fleet's name of a member's volume, empty for none.
func volumeName(member, volume string) string {
	if volume == "" {
		return ""
	}
	return volume + "." + member
}
