// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"sync"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// occupants are the works about objects in each namespace of the member, and about
// the namespace itself. They tell who is the last to leave a namespace that exists
// because the fleet needed it: who is takes the namespace along.
//
//	work appears               → using, or leaving if it is a tombstone
//	the tombstone has come true → gone, for that tombstone
//	work vanishes              → forgotten
//
// Who is last closes the namespace while it looks what else is there and deletes it.
// Nothing is made in a closed namespace.
type occupants struct {
	mu         sync.Mutex
	namespaces map[string]*occupied
}

// occupied is what is known about one namespace.
type occupied struct {
	// inside are the works about objects in it, by name, and the numbers of those
	// that use it and that are leaving.
	inside         map[string]occupant
	using, leaving int
	// own is the work about the namespace; ownName is empty when there is none.
	own     occupant
	ownName string
	closed  bool
}

// occupant is one work.
type occupant struct {
	stage stage
	order order // of a tombstone
}

// stage is how far a work is.
type stage int

const (
	using stage = iota
	leaving
	gone
)

func newOccupants() *occupants { return &occupants{namespaces: map[string]*occupied{}} }

// note follows up a change of a work; nil is for one that was, or is, not there.
func (o *occupants) note(before, now *workv1alpha1.Work) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before != nil && (now == nil || targetOf(before) != targetOf(now)) {
		o.drop(targetOf(before), before.Name)
	}
	if now != nil {
		o.put(targetOf(now), now)
	}
}

// put is called with the lock held, like all that are not exported to the session.
func (o *occupants) put(t target, work *workv1alpha1.Work) {
	occupant := occupant{order: orderOf(work)}
	if work.Spec.Deleted {
		occupant.stage = leaving
	}
	switch {
	case t.isNamespace():
		at := o.at(t.name)
		at.own, at.ownName = occupant.after(at.own), work.Name
	case t.namespace != "":
		at := o.at(t.namespace)
		at.set(work.Name, occupant.after(at.inside[work.Name]))
	}
}

// after returns what an occupant is that was known as before: gone, if that very
// tombstone has come true.
func (o occupant) after(before occupant) occupant {
	if o.stage == leaving && before.stage == gone && before.order == o.order {
		return before
	}
	return o
}

func (o *occupants) drop(t target, name string) {
	namespace := t.namespace
	if t.isNamespace() {
		namespace = t.name
	}
	at, ok := o.namespaces[namespace]
	if !ok {
		return
	}
	if !t.isNamespace() {
		at.remove(name)
	} else if at.ownName == name {
		at.own, at.ownName = occupant{}, ""
	}
	o.tidy(namespace, at)
}

// at returns what is known about a namespace.
func (o *occupants) at(namespace string) *occupied {
	at, ok := o.namespaces[namespace]
	if !ok {
		at = &occupied{inside: map[string]occupant{}}
		o.namespaces[namespace] = at
	}
	return at
}

// tidy forgets a namespace about which nothing is known.
func (o *occupants) tidy(namespace string, at *occupied) {
	if len(at.inside) == 0 && at.ownName == "" && !at.closed {
		delete(o.namespaces, namespace)
	}
}

func (o *occupied) set(name string, now occupant) {
	o.remove(name)
	o.inside[name] = now
	o.count(now.stage, 1)
}

func (o *occupied) remove(name string) {
	if before, ok := o.inside[name]; ok {
		delete(o.inside, name)
		o.count(before.stage, -1)
	}
}

func (o *occupied) count(stage stage, by int) {
	switch stage {
	case using:
		o.using += by
	case leaving:
		o.leaving += by
	}
}

// empty returns true when nothing is in the namespace, or on its way.
func (o *occupied) empty() bool { return o.using+o.leaving == 0 }

// tended returns true while the work about the namespace sees to it.
func (o *occupied) tended() bool { return o.ownName != "" && o.own.stage != gone }

// in returns how many works are about objects in the namespace that are to go and
// have not, and whether there are any that are to stay.
func (o *occupants) in(namespace string) (waits int, used bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, ok := o.namespaces[namespace]; ok {
		return at.leaving, at.using > 0
	}
	return 0, false
}

// leave takes the tombstone of an object in the namespace out of it. When it is the
// last, and no work sees to the namespace, the namespace is closed instead, until it
// is opened; when somebody else closed it, it is not left yet.
func (o *occupants) leave(namespace, name string, order order) (isLeft, isLast bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, ok := o.namespaces[namespace]
	if !ok {
		return true, false
	}
	if known := at.inside[name]; known.stage != leaving || known.order != order {
		return true, false
	}
	switch {
	case at.using > 0, at.leaving > 1, at.tended():
		at.set(name, occupant{stage: gone, order: order})
		return true, false
	case at.closed:
		return false, false
	}
	at.closed = true
	return false, true
}

// yield has what is in the namespace see to it in place of its own tombstone. It
// returns false when nothing is.
func (o *occupants) yield(namespace string, order order) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, ok := o.namespaces[namespace]
	if !ok || at.empty() {
		return false
	}
	if at.own.stage == leaving && at.own.order == order {
		at.own.stage = gone
	}
	return true
}

// close keeps others from making anything in the namespace until it is opened. It
// returns false when something is in it.
func (o *occupants) close(namespace string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.at(namespace)
	if !at.empty() || at.closed {
		o.tidy(namespace, at)
		return false
	}
	at.closed = true
	return true
}

// open ends what close began.
func (o *occupants) open(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, ok := o.namespaces[namespace]; ok {
		at.closed = false
		o.tidy(namespace, at)
	}
}

// openAfter ends what leave began, with the last one gone.
func (o *occupants) openAfter(namespace, name string, order order) {
	o.mu.Lock()
	if at, ok := o.namespaces[namespace]; ok && at.inside[name] == (occupant{stage: leaving, order: order}) {
		at.set(name, occupant{stage: gone, order: order})
	}
	o.mu.Unlock()
	o.open(namespace)
}

// isClosed returns true while somebody looks whether the namespace can go.
func (o *occupants) isClosed(namespace string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, ok := o.namespaces[namespace]
	return ok && at.closed
}
