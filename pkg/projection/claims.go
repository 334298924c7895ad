// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/derived/ledger"
)

// entry is an object that is served, change one that came, changed or went.
type (
	entry  = ledger.Entry[runtime.Object]
	change = ledger.Change[runtime.Object]
)

// claimant is an object that wants to be served under its own name: a stored one,
// or one of a member.
type claimant struct {
	member string // empty for a stored object
	// object is what is shown, or is to be shown, except of a member that is lost; see
	// lost.go. It is immutable once it is shown.
	object runtime.Object
	// version is the resource version in the member, 0 if that is no number. That of a
	// stored object is the one etcd gives it, which is not always that it is shown with.
	version uint64
	// learned says that the member's answer to a write told of this version, and its
	// watch did not yet.
	learned bool
	// shown is what is served now, nil for nothing.
	shown *entry
	// owner is the key of its owner, empty for none.
	owner string
	// of is the uid of the stored object it is a copy of, empty for none; see copies.go.
	of types.UID
	// next has the same name and comes after this one.
	next *claimant
}

// claims are all claimants by the key they want, namespace/name. Those of one key
// are in the order of who goes before: the stored object, then members by name.
// The first is served under the name they share, the others under <name>.<member>.
// So names follow from what exists alone, not from what was seen first.
type claims map[string]*claimant

// get returns the claimant of a member, nil if it has none.
func (c claims) get(key, member string) *claimant {
	for at := c[key]; at != nil; at = at.next {
		if at.member == member {
			return at
		}
	}
	return nil
}

// put returns the claimant of a member, which is made if there is none.
func (c claims) put(key, member string) *claimant {
	if found := c.get(key, member); found != nil {
		return found
	}
	made := &claimant{member: member}
	first := c[key]
	if first == nil || member < first.member {
		made.next, c[key] = first, made
		return made
	}
	before := first
	for before.next != nil && before.next.member < member {
		before = before.next
	}
	made.next, before.next = before.next, made
	return made
}

// remove takes the claimant of a member away and returns it.
func (c claims) remove(key, member string) *claimant {
	found := c.get(key, member)
	switch first := c[key]; {
	case found == nil:
	case first != found:
		before := first
		for before.next != found {
			before = before.next
		}
		before.next = found.next
	case found.next == nil:
		delete(c, key)
	default:
		c[key] = found.next
	}
	return found
}

// shownAs finds who is served under a key, and the key it wants.
func (c claims) shownAs(key string) (*claimant, string) {
	for _, base := range c.family(key) {
		for at := c[base]; at != nil; at = at.next {
			if at.shown != nil && at.shown.Key == key {
				return at, base
			}
		}
	}
	return nil, ""
}

// family returns the claimed keys whose claimants may be shown under this key:
// itself, and what is left of it without what follows its dots.
func (c claims) family(key string) []string {
	family := []string{key}
	for base := key; ; {
		dot := strings.LastIndexByte(base, '.')
		if dot < strings.LastIndexByte(base, '/')+1 {
			return family
		}
		if base = base[:dot]; c[base] != nil {
			family = append(family, base)
		}
	}
}

// nameFor is the key a claimant of a key is to be shown under. The member is
// added once more should somebody else have chosen that very name, or be given it
// for a name closer to it.
func (c claims) nameFor(at *claimant, key string) string {
	if at == c[key] {
		return key
	}
	for base := key; ; {
		name := base + "." + at.member
		closer := c.get(base, at.member)
		if c[name] == nil && (base == key || closer == nil || closer == c[base]) {
			return name
		}
		base = name
	}
}

// splitKey returns namespace and name.
func splitKey(key string) (namespace, name string) {
	if namespace, name, ok := strings.Cut(key, "/"); ok {
		return namespace, name
	}
	return "", key
}

// keyOf is the key of an object.
func keyOf(object metav1.Object) string {
	if namespace := object.GetNamespace(); namespace != "" {
		return namespace + "/" + object.GetName()
	}
	return object.GetName()
}
