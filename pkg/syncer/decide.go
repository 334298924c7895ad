// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// step is what to do about the member's object of a work.
type step int

const (
	// create it, it does not exist.
	create step = iota
	// update it, it is ours.
	update
	// adopt it if that changes nothing in it.
	adopt
	// overwrite it, whoever made it.
	overwrite
	// share it with whoever made it, and leave it as it is.
	share
	// refuse to touch it.
	refuse
)

// decide returns the step for a work, and why when the step is to refuse. live is
// nil when the object does not exist. What the fleet created from the template and
// released, because its member left for a while, is the fleet's again: the template
// may have changed meanwhile.
func decide(t target, work *workv1alpha1.Work, live *observed, fleetID string) (step, string) {
	resolution := work.Spec.ConflictResolution
	switch {
	case live == nil:
		return create, ""
	case live.managedBy() == fleetID, live.released(fleetID, work.Spec.Template.UID):
		return update, ""
	case t.isNamespace():
		return share, ""
	case live.managedBy() != "":
		return refuse, fmt.Sprintf("%s exists and belongs to fleet %s", t, live.managedBy())
	case resolution == policyv1alpha1.ConflictOverwrite:
		return overwrite, ""
	case resolution == policyv1alpha1.ConflictAbort:
		return refuse, fmt.Sprintf("%s exists and was not created by the fleet; conflictResolution is %s", t, resolution)
	default:
		return adopt, ""
	}
}

// adopted says whether the object, once the step is done, is one that was there
// before the fleet. An object the fleet created and released, or that merely lost
// its label, is not; and with Overwrite the user gave it to the fleet.
func adopted(step step, work *workv1alpha1.Work, live *observed, fleetID string) bool {
	switch {
	case live == nil || work.Spec.ConflictResolution == policyv1alpha1.ConflictOverwrite:
		return false
	case live.adopted():
		return true
	default:
		return step == adopt && live.createdBy() != fleetID && live.templateUID() != string(work.Spec.Template.UID)
	}
}

// ending is what to do about the member's object of a tombstone.
type ending int

const (
	// confirm that nothing of the template is there (any more).
	confirm ending = iota
	// release the object: keep it running, take the fleet's marks off.
	release
	// remove the object.
	remove
	// await the end of an object that is being deleted.
	await
)

// decideEnd returns what a tombstone means for live, which is nil when the
// object does not exist, and why when it means nothing. uid is that of the
// template whose object is to go.
func decideEnd(t target, live *observed, uid, fleetID string, keep bool) (ending, string) {
	switch {
	case live == nil:
		return confirm, ""
	case live.managedBy() != fleetID:
		return confirm, fmt.Sprintf("%s is not managed by this fleet and stays", t)
	case live.templateUID() != uid && (!t.isNamespace() || !live.createdNamespace() || live.templateUID() != ""):
		return confirm, fmt.Sprintf("%s comes from another template and stays", t)
	case keep:
		return release, ""
	case live.adopted(), t.isNamespace() && !live.createdNamespace():
		return release, ""
	case live.DeletionTimestamp != nil:
		return await, ""
	default:
		return remove, ""
	}
}
