// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// record is what a session remembers about one work. What never changes anybody
// may read; the first group of fields is used only by the worker that holds the
// work in the queue; the second is guarded by the session's lock.
type record struct {
	uid    types.UID // of the work
	target target
	rank   rank

	// settled is set while the object is known to be as the work says.
	settled *settled
	// ended is set once a tombstone came true.
	ended *ended
	// order is the tombstone that is being served.
	order order
	// removed is the object the member was asked to delete.
	removed *removed
	// tried says that the object was created, or found not to be mirrored, before.
	tried bool
	// outdated says that the mirror's version of the object was refused.
	outdated bool
	// trimmed are the fields left out for the member.
	trimmed []string
	// lost are the fields that the member took and dropped.
	lost []string
	// unreadSince is when the first look found the kind not mirrored yet.
	unreadSince time.Time
	// unknownSince is when the namespace, which is to go, was first found to have what
	// the fleet does not know.
	unknownSince time.Time
	// doomed is the object to which nobody may refer any more, because it is to go.
	doomed types.UID
	// vacating counts the attempts to let go of the namespace the object was last in.
	vacating int
	// attempts counts the looks in a row that called for another.
	attempts int
	// refusal is what the member said when it did not take what was wanted.
	refusal *refusal
	// recreated is the object the member was asked to delete because what is wanted
	// cannot be made of it.
	recreated types.UID
	// recreatedFor is what was wanted then, and recreatedWhy the reason.
	recreatedFor uint64
	recreatedWhy string
	// disputes counts corrections that did not last.
	disputes disputes
	// finished is the template whose object was seen to have run to its end.
	finished types.UID
	// templateGeneration is the generation of the template the status of the
	// object reflects.
	templateGeneration int64

	// revisit says that the work is to be looked at again when the member serves
	// other kinds, or fields.
	revisit bool
	// applied is the object as the last write left it, until the mirror has it.
	applied *observed
	// goneAt is the resourceVersion the object was last seen to vanish at, gone its
	// uid then.
	goneAt string
	gone   types.UID
}

// order is what tells a tombstone from earlier ones of the same object. A template
// may leave the member, come back and leave again.
type order struct {
	template   types.UID
	generation int64 // of the binding
}

// ended says which tombstone came true, and how.
type ended struct {
	order   order
	outcome outcome
}

// removed is an object the member was asked to delete, and for which tombstone.
type removed struct {
	order order
	uid   types.UID
}

// settled says which object was found to be as which work says.
type settled struct {
	desired     uint64
	uid         types.UID
	fingerprint uint64
	// residue is a difference that remains after applying because the member's
	// API server keeps another value than the one it was sent. It is accepted: to
	// send it again would change nothing.
	residue uint64
}

// holds returns true when object is the one found to be as desired says.
func (s *settled) holds(desired uint64, object *observed) bool {
	return s != nil && s.desired == desired && s.uid == object.UID && s.fingerprint == object.fingerprint
}

// accepts returns true when the difference is one that remained after applying
// the same.
func (s *settled) accepts(desired, residue uint64) bool {
	return s != nil && s.desired == desired && residue != 0 && s.residue == residue
}

// keepApplied remembers the object a write returned, unless it has vanished
// since.
func (r *record) keepApplied(object *observed) {
	if r.goneAt != "" {
		order, err := resourceversion.CompareResourceVersion(object.ResourceVersion, r.goneAt)
		if err != nil || order < 0 {
			return
		}
	}
	r.applied = object
}

// vanished remembers that the object with the uid was gone at version.
func (r *record) vanished(uid types.UID, version string) {
	r.goneAt, r.gone = version, uid
	if r.applied != nil && r.applied.UID == uid {
		r.applied = nil
	}
}

// latest returns the later of what the mirror has seen and what the last write
// returned.
func (r *record) latest(seen *observed) *observed {
	object := newer(seen, r.applied)
	if object == seen {
		r.applied = nil
	}
	return object
}

// reflected follows up which generation of the template the status of the
// object is about.
func (r *record) reflected(work *workv1alpha1.Work, o outcome) int64 {
	if o.applied && o.object != nil && upToDate(r.target, o.object) {
		r.templateGeneration = work.Spec.Template.Generation
	}
	return r.templateGeneration
}

// upToDate returns true when the status of the object is about its latest
// generation.
func upToDate(t target, object *observed) bool {
	if object.observedGeneration >= 0 {
		return object.observedGeneration >= object.Generation
	}
	switch t.kind.Group {
	case "apps":
		return false
	case "policy":
		return t.kind.Kind != "PodDisruptionBudget"
	}
	return true
}

// delay returns the time until the next look, false when only a change calls
// for one.
func (r *record) delay(o outcome) (time.Duration, bool) {
	if o.waiting {
		return o.after, true
	}
	if o.retry == never {
		r.attempts = 0
		return o.after, o.after > 0
	}
	r.attempts++
	return max(o.retry.backoff(r.attempts), o.after), true
}

// quietAttempts is how many tries in a row may come to nothing, for a cause that may
// pass, before that is worth a word: what is installed or deleted together arrives, or
// goes, one by one, and each report is a write in the fleet and an Event.
const quietAttempts = 3

// mayPass returns true when a failure is not worth a report yet.
func (r *record) mayPass(o outcome) bool {
	return o.retry == soon && !o.applied && !o.deleted && o.reason != workv1alpha1.AppliedReasonRecreating && r.attempts < quietAttempts
}

// disputes slows corrections down when another writer keeps undoing them.
type disputes struct {
	count int
	last  time.Time
}

const (
	// freeCorrections are made at once.
	freeCorrections = 5
	// correctionsApart is the longest time between two corrections.
	correctionsApart = 5 * time.Minute
	// peace is how much longer than its turn a correction has to last to be the
	// last of a dispute.
	peace = time.Minute
)

// apart returns the least time between the last correction and the next.
func (d *disputes) apart() time.Duration {
	if d.count < freeCorrections {
		return 0
	}
	return min(correctionsApart, time.Second<<min(d.count-freeCorrections+1, 16))
}

// wait returns the time until the next correction may be made.
func (d *disputes) wait(now clock.PassiveClock) time.Duration {
	since := now.Since(d.last)
	if since > d.apart()+peace {
		d.count = 0
	}
	return max(0, d.apart()-since)
}

// corrected counts a correction.
func (d *disputes) corrected(now clock.PassiveClock) {
	d.count++
	d.last = now.Now()
}
