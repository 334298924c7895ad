// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"
)

// What members have under one name may be shown as one object, see Kind.Merge. To put that
// together takes as long as members have much, so several changes have it done once: a
// moment later, or when somebody asks.
//
//	members ───► claims ──► unmerged ──a moment, or a reader──► remerge ──► shown

const (
	// mergeAfter is how long changes are gathered.
	mergeAfter = 100 * time.Millisecond
	// mergesAtOnce is how many objects are put together under one lock.
	mergesAtOnce = 16
)

// unmerge notes that something else is to be merged under a key.
func (u *union) unmerge(key string) {
	u.unmerged[key] = struct{}{}
	u.ringUnmerged()
}

// ringUnmerged says that something is to be merged.
func (u *union) ringUnmerged() {
	select {
	case u.unmergedNow <- struct{}{}:
	default:
	}
}

// unmergeGone has the others of a key be merged without one that went. With the last of
// them goes what was shown.
func (u *union) unmergeGone(gone *claimant, key string) []change {
	heir := u.claims[key]
	if heir != nil && heir.member == "" {
		return nil // nothing of members is shown
	}
	if heir != nil {
		if gone.shown != nil {
			heir.shown = gone.shown
		}
		u.unmerge(key)
		return nil
	}
	delete(u.unmerged, key)
	if gone.shown == nil {
		return nil
	}
	return []change{{ResourceVersion: u.advance(), Old: gone.shown}}
}

// mergeSome shows some of what is to be merged.
func (u *union) mergeSome() {
	u.mu.Lock()
	defer u.mu.Unlock()
	var changes []change
	done := 0
	for key := range u.unmerged {
		if done == mergesAtOnce {
			break
		}
		changes = append(changes, u.remerge(key)...)
		done++
	}
	u.commit(changes)
}

// unmergedCount returns under how many keys mergeSome has something to do.
func (u *union) unmergedCount() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.unmerged)
}

// remerge shows under a key what members have together, if something of members is shown
// there.
func (u *union) remerge(key string) []change {
	delete(u.unmerged, key)
	first := u.claims[key]
	if first == nil || first.member == "" {
		return nil
	}
	var served *entry
	var objects []runtime.Object
	for at := first; at != nil; at = at.next {
		if at.shown != nil {
			served, at.shown = at.shown, nil
		}
		objects = append(objects, u.look(at))
	}
	first.shown = show(key, u.merge(objects), u.advance())
	return []change{{ResourceVersion: first.shown.ResourceVersion, Old: served, Next: first.shown}}
}

// hideMerged stops showing what members have together under a key that something stored
// has now.
func (u *union) hideMerged(key string) []change {
	var changes []change
	if first := u.claims[key]; first != nil && first.member == "" {
		for at := first.next; at != nil; at = at.next {
			if at.shown != nil {
				changes = append(changes, change{ResourceVersion: u.advance(), Old: at.shown})
				at.shown = nil
			}
		}
	}
	return changes
}

// mergeAll shows all that is to be merged, or as much at least. What changes meanwhile
// may be left, so that members cannot keep it going.
func (s *surface) mergeAll(ctx context.Context) error {
	for left := s.union.unmergedCount(); left > 0 && ctx.Err() == nil; left -= mergesAtOnce {
		if err := s.reserve(ctx, chunk); err != nil {
			return err
		}
		s.union.mergeSome()
	}
	return nil
}

// mergeMembers shows what members have together whenever that changed, until the context
// ends.
func (s *surface) mergeMembers(ctx context.Context) {
	for {
		select {
		case <-s.union.unmergedNow:
		case <-ctx.Done():
			return
		}
		s.pause(ctx, mergeAfter)
		for err := s.mergeAll(ctx); err != nil && ctx.Err() == nil; err = s.mergeAll(ctx) {
			klog.FromContext(ctx).Error(err, "What members have together is as before", "resource", s.kind.Resource.Resource)
			s.pause(ctx, s.options.MaxBackoff)
		}
		if s.union.unmergedCount() > 0 {
			s.union.ringUnmerged()
		}
	}
}
