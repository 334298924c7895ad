// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// refusal is what a member said to what it was asked for last. It is not asked for
// the same again before its time, however often the object changes its status.
type refusal struct {
	desired     uint64
	uid         types.UID // of the object, empty when there was none
	fingerprint uint64
	// until is when it may be tried again.
	until time.Time

	reason, message string
	retry           retry
}

// freeRefusals are how many refusals in a row a change of the object may follow at
// once. After them it waits like everything else: it may be somebody's who never
// stops.
const freeRefusals = 5

// refuse remembers that the member did not take what was asked for.
func (p *propagation) refuse(o outcome, live *observed) outcome {
	if o.reason == "" || o.retry == never {
		return o
	}
	wait := max(o.retry.backoff(p.record.attempts+1), o.after)
	p.record.refusal = &refusal{desired: p.hash, until: p.clock.Now().Add(wait), reason: o.reason, message: o.message, retry: o.retry}
	if live != nil {
		p.record.refusal.uid, p.record.refusal.fingerprint = live.UID, live.fingerprint
	}
	return o
}

// heldBack returns the outcome of the last try while the same is not to be tried
// again, or while an object that is to be created anew goes.
func (p *propagation) heldBack(live *observed) (outcome, bool) {
	if live != nil && live.DeletionTimestamp != nil && live.UID == p.record.recreated {
		return p.recreating(live, endingMessage(p.target, live)+", to be created anew"), true
	}
	r := p.record.refusal
	if r == nil {
		return outcome{}, false
	}
	wait := r.until.Sub(p.clock.Now())
	if wait <= 0 || r.desired != p.hash || !r.isAbout(live, p.record.attempts > freeRefusals) {
		return outcome{}, false
	}
	return outcome{reason: r.reason, message: r.message, object: owned(live, p.fleetID), retry: r.retry, after: wait, waiting: true}, true
}

// isAbout returns true when live is the object that was refused, in whatever state
// if changed.
func (r *refusal) isAbout(live *observed, changed bool) bool {
	if live == nil {
		return r.uid == ""
	}
	return r.uid == live.UID && (changed || r.fingerprint == live.fingerprint)
}
