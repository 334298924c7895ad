// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/derived/ledger"
)

// errWentBack says that etcd is at an older revision than was served already.
var errWentBack = errors.New("etcd went back")

// union is everything of one kind: what is stored in the fleet and what members
// have. It gives each change its place in one order.
//
//	etcd ───► stored ──┐
//	                   ├──► union (claims: who has which name) ──► ledger ──► Cacher
//	members ───────────┘
//
// It assumes that changes in etcd come in the order of revisions, and changes of
// one member in the order of that member.
type union struct {
	ledger *ledger.Ledger[runtime.Object]

	mu sync.Mutex // guards all below, and orders commits to the ledger
	// revision is how far etcd was followed; 0 before the first load.
	revision uint64
	counter  uint64
	server   uint64
	claims   claims
	// keys are those a member claims, by member.
	keys map[string]map[string]struct{}
	// owned are members' objects by the key of their owner.
	owned  map[string]*owned
	owners Owners
	// wear is SetOwner, merge Merge, complete Complete, strip Bare of the kind.
	wear     func(object runtime.Object, owner Owner) bool
	merge    func(objects []runtime.Object) runtime.Object
	complete func(stored, copied runtime.Object)
	strip    func(updated, shown, stored runtime.Object)
	// copies are what members made of stored objects. They have no name of their own.
	copies claims
	// lose is Lost of the kind. lost are the members nobody hears from, by name, and turned
	// keys of what may be shown as it was before its member was lost or found.
	lose   func(object runtime.Object, member Cluster) bool
	lost   map[string]Cluster
	turned map[string]map[string]struct{}
	// unmerged are keys under which something else is to be merged, and unmergedNow says
	// that there are some; see merged.go.
	unmerged    map[string]struct{}
	unmergedNow chan struct{}
}

func newUnion(kind *Kind, owners Owners) *union {
	return &union{
		ledger: ledger.New(func(runtime.Object) int64 { return 0 }),
		claims: claims{},
		keys:   map[string]map[string]struct{}{},
		owned:  map[string]*owned{},
		owners: owners,
		wear:   kind.SetOwner,
		merge:  kind.Merge,
		copies: claims{}, complete: kind.Complete, strip: kind.Bare,
		unmerged: map[string]struct{}{}, unmergedNow: make(chan struct{}, 1),
		lose: kind.Lost, lost: map[string]Cluster{}, turned: map[string]map[string]struct{}{},
	}
}

// position is the resource version of everything up to now.
func (u *union) position() uint64 { return versionAt(u.revision, u.counter, u.server) }

// advance is the resource version of the next change in a member. There has to
// be room for it.
func (u *union) advance() uint64 {
	u.counter++
	return u.position()
}

// room says how many changes in members still fit under the current revision,
// with some to spare for what a change in etcd causes.
func (u *union) room() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maxCounter - spareCounter - int(u.counter) //nolint:gosec // of 16 bits
}

// spareCounter is what room leaves.
const spareCounter = 4096

// load replaces everything stored, as of a revision. What members have stays.
// Watches from before expire: what they missed has no versions.
func (u *union) load(revision, server uint64, stored []runtime.Object) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if revision < u.revision {
		return fmt.Errorf("%w: it is at revision %d after %d", errWentBack, revision, u.revision)
	}
	if revision > u.revision {
		u.revision, u.counter = revision, 0
	}
	u.server = server
	for _, key := range slices.Collect(maps.Keys(u.claims)) {
		u.claims.remove(key, "")
	}
	for _, object := range stored {
		key, version, err := u.identify(object)
		if err != nil {
			return fmt.Errorf("load stored object: %w", err)
		}
		at := u.claims.put(key, "")
		at.object, at.version = object, version
		at.shown = show(key, u.completed(key, object), version)
	}
	u.rename()
	u.reset()
	return nil
}

// rename gives every claimant the name it is to have.
func (u *union) rename() {
	for key := range u.claims {
		u.hide(key)
	}
	for key := range u.claims {
		u.unhide(key)
	}
}

// reset serves the claims as they are.
func (u *union) reset() {
	var entries []*entry
	for _, first := range u.claims {
		for at := first; at != nil; at = at.next {
			if at.shown != nil {
				entries = append(entries, at.shown)
			}
		}
	}
	u.ledger.Reset(u.advance(), entries)
}

// identify returns the key of a stored object and the resource version it has.
func (u *union) identify(object runtime.Object) (key string, version uint64, err error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return "", 0, err
	}
	key = keyOf(accessor)
	revision, err := strconv.ParseUint(accessor.GetResourceVersion(), 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("parse resource version of %q: %w", key, err)
	}
	return key, versionAt(revision, 0, u.server), nil
}

// follow takes in that etcd reached a revision in which nothing changed.
func (u *union) follow(revision uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if revision > u.revision {
		u.revision, u.counter = revision, 0
		u.ledger.Commit(u.position(), nil)
	}
}

// putStored takes in an object that was written to etcd, which is the union's from
// now on.
func (u *union) putStored(object runtime.Object) error { return u.takeStored(object, false) }

// removeStored takes in an object that was deleted from etcd; its resource
// version is that of the deletion.
func (u *union) removeStored(object runtime.Object) error { return u.takeStored(object, true) }

// takeStored first gives up, still in the revision before, the names that others
// are to lose.
func (u *union) takeStored(object runtime.Object, gone bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	key, version, err := u.identify(object)
	if err != nil {
		return fmt.Errorf("take in stored object: %w", err)
	}
	if revisionOf(version) <= u.revision {
		return nil // it was in the list
	}
	var at *claimant
	if gone {
		if at = u.claims.remove(key, ""); at == nil {
			at = &claimant{}
		}
	} else {
		at = u.claims.put(key, "")
	}
	own := change{ResourceVersion: version, Old: at.shown}
	if !gone {
		at.object, at.version = object, version
		at.shown = show(key, u.completed(key, object), version)
		own.Next = at.shown
	}
	changes := u.hide(key)
	u.revision, u.counter = revisionOf(version), 0
	if own.Old != nil || own.Next != nil {
		changes = append(changes, own)
	}
	changes = append(changes, u.unhide(key)...)
	u.ledger.Commit(u.position(), changes)
	return nil
}

// observation is an object of a member as the fleet shows it. The object is the
// union's from when it is taken in.
type observation struct {
	key     string
	object  runtime.Object
	version uint64 // in the member
	owner   string // key of the owner, empty for none
	// of is the uid of the stored object it is a copy of, empty for none.
	of types.UID
}

// put takes in an object of a member. learned says that it is the answer to a
// write, which may come before the member's watch has told of it.
func (u *union) put(member string, seen observation, learned bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.commit(u.set(member, seen, learned))
}

// putAll takes in several objects of a member.
func (u *union) putAll(member string, seen []observation) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var changes []change
	for i := range seen {
		changes = append(changes, u.set(member, seen[i], false)...)
	}
	u.commit(changes)
}

// set makes the object what the member has, unless something newer is known.
func (u *union) set(member string, seen observation, learned bool) []change {
	table, other := u.claims, u.copies
	if seen.of != "" {
		table, other = other, table
	}
	var changes []change
	if other.get(seen.key, member) != nil {
		changes = u.unset(member, seen.key) // it became one, or is one no more
	}
	at := u.renew(table, member, seen, learned)
	switch {
	case at == nil:
		return changes
	case seen.of != "":
		at.object, at.of = seen.object, seen.of
		return append(changes, u.recomplete(seen.key)...)
	}
	u.setOwner(at, seen.key, seen.owner)
	u.dress(seen.object, seen.owner)
	at.object = seen.object
	if u.merge != nil {
		u.unmerge(seen.key)
		return changes
	}
	if at.shown == nil {
		return append(changes, append(u.hide(seen.key), u.unhide(seen.key)...)...)
	}
	old := at.shown
	at.shown = show(old.Key, u.look(at), u.advance())
	return append(changes, change{ResourceVersion: at.shown.ResourceVersion, Old: old, Next: at.shown})
}

// renew returns what of a table is to become what was seen, nil when that is no news.
func (u *union) renew(table claims, member string, seen observation, learned bool) *claimant {
	at := table.get(seen.key, member)
	switch {
	case at == nil && learned:
		return nil // gone meanwhile, as the watch told
	case at == nil:
		at = table.put(seen.key, member)
		if u.keys[member] == nil {
			u.keys[member] = map[string]struct{}{}
		}
		u.keys[member][seen.key] = struct{}{}
	case seen.version == at.version && seen.version != 0:
		at.learned = at.learned && learned
		return nil
	case (at.learned || learned) && seen.version < at.version:
		return nil
	}
	at.version, at.learned = seen.version, learned
	return at
}

// remove takes in that an object of a member was gone at a version, 0 for now.
func (u *union) remove(member, key string, version uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at := u.seenOf(member, key); at != nil && at.learned && version != 0 && version < at.version {
		return // another one of that name has come meanwhile
	}
	u.commit(u.unset(member, key))
}

func (u *union) unset(member, key string) []change {
	at := u.claims.remove(key, member)
	copied := at == nil && u.copies.remove(key, member) != nil
	if at == nil && !copied {
		return nil
	}
	if delete(u.keys[member], key); len(u.keys[member]) == 0 {
		delete(u.keys, member)
	}
	if copied {
		return u.recomplete(key)
	}
	u.setOwner(at, key, "")
	if u.merge != nil {
		return u.unmergeGone(at, key)
	}
	var changes []change
	if at.shown != nil {
		changes = append(changes, change{ResourceVersion: u.advance(), Old: at.shown})
	}
	changes = append(changes, u.hide(key)...)
	return append(changes, u.unhide(key)...)
}

// retain drops what a member has no more: everything but some keys, and but what
// it told of after a version. It drops some at a time and says whether there are more.
func (u *union) retain(member string, keys map[string]struct{}, version uint64) (more bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var changes []change
	dropped := 0
	for key := range u.keys[member] {
		at := u.seenOf(member, key)
		if _, ok := keys[key]; ok || at.learned && at.version > version {
			continue
		}
		if more = dropped == chunk; more {
			break
		}
		changes = append(changes, u.unset(member, key)...)
		dropped++
	}
	u.commit(changes)
	return more
}

func (u *union) commit(changes []change) {
	if len(changes) > 0 {
		u.ledger.Commit(u.position(), changes)
	}
}

// hide stops showing claimants under names they are not to have any more, after
// the claims of a key changed.
func (u *union) hide(key string) []change {
	if u.merge != nil {
		return u.hideMerged(key)
	}
	var changes []change
	for _, base := range u.claims.family(key) {
		for at := u.claims[base]; at != nil; at = at.next {
			if at.shown != nil && at.shown.Key != u.claims.nameFor(at, base) {
				changes = append(changes, change{ResourceVersion: u.advance(), Old: at.shown})
				at.object, at.shown = shallowCopy(at.object), nil
			}
		}
	}
	return changes
}

// unhide shows every claimant that is not shown.
func (u *union) unhide(key string) []change {
	if u.merge != nil {
		if first := u.claims[key]; first != nil && first.shown == nil {
			return u.remerge(key)
		}
		return nil
	}
	var changes []change
	for _, base := range u.claims.family(key) {
		for at := u.claims[base]; at != nil; at = at.next {
			if at.shown == nil {
				at.shown = show(u.claims.nameFor(at, base), u.look(at), u.advance())
				changes = append(changes, change{ResourceVersion: at.shown.ResourceVersion, Next: at.shown})
			}
		}
	}
	return changes
}

// find returns a copy of the claimant that is served under a key, with its key in
// the member.
func (u *union) find(key string) (claimant, string, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	found, base := u.claims.shownAs(key)
	if found == nil {
		return claimant{}, "", false
	}
	return *found, base, true
}

// shownAs returns what is served of an object of a member, nil if nothing is.
func (u *union) shownAs(member, key string) *entry {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at := u.claims.get(key, member); at != nil {
		return at.shown
	}
	return nil
}

// show gives an object the name and resource version it is served with. The
// object must not have been served yet.
func show(key string, object runtime.Object, version uint64) *entry {
	accessor, err := meta.Accessor(object)
	if err != nil {
		panic(fmt.Sprintf("show %T: %v", object, err)) // it was accessed when it was taken in
	}
	if _, name := splitKey(key); name != accessor.GetName() {
		accessor.SetName(name)
	}
	accessor.SetResourceVersion(strconv.FormatUint(version, 10))
	return &entry{Key: key, ResourceVersion: version, Object: object}
}

// shallowCopy copies the struct an object is, and shares all it points to.
func shallowCopy(object runtime.Object) runtime.Object {
	from := reflect.ValueOf(object).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	return to.Interface().(runtime.Object)
}

// members returns those whose objects are served.
func (u *union) members() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Keys(u.keys))
}

// has says whether objects of a member are served.
func (u *union) has(member string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.keys[member]) > 0
}
