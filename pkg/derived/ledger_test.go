// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/third_party/forked/golang/btree"

	"fleet.dev/fleet/pkg/apis/work"
)

func entryAt(key string, resourceVersion uint64) *entry {
	return &entry{key: key, resourceVersion: resourceVersion, work: &work.Work{}}
}

// keysOf lists key@version.
func keysOf(works *btree.BTree[*entry]) []string {
	var keys []string
	works.Ascend(func(e *entry) bool {
		keys = append(keys, fmt.Sprintf("%s@%d", e.key, revisionOf(e.resourceVersion)))
		return true
	})
	return keys
}

func TestResourceVersion(t *testing.T) {
	first, second := resourceVersionAt(7, 0), resourceVersionAt(7, 1)
	if first >= second || second >= resourceVersionAfter(7) || resourceVersionAfter(7) >= resourceVersionAt(8, 0) {
		t.Errorf("versions of revision 7 are not in order: %d, %d, %d, next %d", first, second, resourceVersionAfter(7), resourceVersionAt(8, 0))
	}
	if got := resourceVersionAt(7, 1<<30); got >= resourceVersionAfter(7) || revisionOf(got) != 7 {
		t.Errorf("version of a place beyond the last is %d, want one of revision 7 before %d", got, resourceVersionAfter(7))
	}
	if int64(resourceVersionAfter(1<<43-1)) < 0 {
		t.Error("a version is negative as an int64, which continue tokens hold")
	}
}

func TestLedgerHistory(t *testing.T) {
	l := newLedger()
	a1, b2, a3 := entryAt("a", resourceVersionAt(1, 0)), entryAt("b", resourceVersionAt(2, 0)), entryAt("a", resourceVersionAt(3, 0))
	l.reset(1, []*entry{a1})
	l.commit(2, []change{{resourceVersion: b2.resourceVersion, next: b2}})
	l.commit(3, []change{{resourceVersion: a3.resourceVersion, old: a1, next: a3}})
	l.commit(4, []change{{resourceVersion: resourceVersionAt(4, 0), old: b2}})
	cases := map[string]struct {
		reason  string
		version uint64
		want    []string
		expired bool
	}{
		"Loaded":  {reason: "The state that was loaded.", version: resourceVersionAfter(1), want: []string{"a@1"}},
		"Added":   {reason: "A later change and a later deletion are taken back.", version: resourceVersionAfter(2), want: []string{"a@1", "b@2"}},
		"Between": {reason: "Versions inside a revision count.", version: resourceVersionAt(3, 0), want: []string{"a@3", "b@2"}},
		"Now":     {reason: "The state now.", version: resourceVersionAfter(4), want: []string{"a@3"}},
		"Before":  {reason: "Nothing is known of before the load.", version: resourceVersionAt(1, 0), expired: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			works, err := l.snapshotAt(tc.version)
			if apierrors.IsResourceExpired(err) != tc.expired {
				t.Fatalf("%s\nsnapshotAt: %v, want expired %t", tc.reason, err, tc.expired)
			}
			if tc.expired {
				return
			}
			if diff := cmp.Diff(tc.want, keysOf(works)); diff != "" {
				t.Errorf("%s\nworks (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestLedgerReader(t *testing.T) {
	l := newLedger()
	l.reset(1, nil)
	_, r := l.snapshotAndFollow()
	defer r.close()
	got, err := r.next()
	if err != nil || len(got.changes) != 0 || got.revision != 1 {
		t.Fatalf("next with nothing new = %+v, %v, want no changes at revision 1", got, err)
	}
	e := entryAt("a", resourceVersionAt(2, 0))
	l.commit(2, []change{{resourceVersion: e.resourceVersion, next: e}})
	select {
	case <-got.advanced:
	default:
		t.Fatal("the reader is not woken by a commit")
	}
	if got, err = r.next(); err != nil || len(got.changes) != 1 {
		t.Fatalf("next = %+v, %v, want one change", got, err)
	}
	l.commit(2, []change{{resourceVersion: e.resourceVersion, next: e}}) // again: ignored
	if got, err = r.next(); err != nil || len(got.changes) != 0 || got.revision != 2 {
		t.Fatalf("next = %+v, %v, want no more changes at revision 2", got, err)
	}
	l.reset(9, nil)
	if _, err = r.next(); !apierrors.IsResourceExpired(err) {
		t.Errorf("next after a reset: %v, want expired", err)
	}
	l.stop()
	if _, err = r.next(); !errors.Is(err, errStopped) {
		t.Errorf("next after stop: %v, want stopped", err)
	}
}

// TestLedgerForgets keeps changes for a reader that is behind, as far as it goes,
// and few without one.
func TestLedgerForgets(t *testing.T) {
	l := newLedger()
	l.reset(1, nil)
	_, slow := l.snapshotAndFollow()
	revision := int64(1)
	commit := func(count int) {
		for range count {
			revision++
			e := entryAt("a", resourceVersionAt(revision, 0))
			l.commit(revision, []change{{resourceVersion: e.resourceVersion, next: e}})
		}
	}
	commit(5 * keptChanges)
	read := 0
	for read < 5*keptChanges {
		got, err := slow.next()
		if err != nil {
			t.Fatalf("a reader that is %d changes behind: %v", 5*keptChanges-read, err)
		}
		read += len(got.changes)
	}
	commit(2 * keptChanges)
	if kept := len(l.changes); kept > 4*keptChanges {
		t.Errorf("%d changes are kept though the only reader is %d behind", kept, 2*keptChanges)
	}
	slow.close()
	commit(2 * keptChanges)
	if kept := len(l.changes); kept > 2*keptChanges+1 {
		t.Errorf("%d changes are kept without a reader", kept)
	}
	if _, err := l.follow(resourceVersionAfter(1)); !apierrors.IsResourceExpired(err) {
		t.Errorf("follow from what was forgotten: %v, want expired", err)
	}
}

func TestLedgerGivesUpSlowReaders(t *testing.T) {
	l := newLedger()
	l.reset(1, nil)
	_, slow := l.snapshotAndFollow()
	defer slow.close()
	changes := make([]change, maxChanges+3*keptChanges)
	for i := range changes {
		e := entryAt(fmt.Sprint(i), resourceVersionAt(2, i))
		changes[i] = change{resourceVersion: e.resourceVersion, next: e}
	}
	l.commit(2, changes)
	if _, err := slow.next(); !apierrors.IsResourceExpired(err) {
		t.Errorf("reader further behind than %d changes: %v, want expired", maxChanges, err)
	}
}

func TestRecent(t *testing.T) {
	value := func(size int, revision int64) stored { return stored{value: make([]byte, size), revision: revision} }
	t.Run("Newest", func(t *testing.T) {
		r := newRecent()
		r.put("a", value(1, 1))
		r.put("a", value(2, 2))
		if got, ok := r.get("a"); !ok || got.revision != 2 || r.bytes != 2 {
			t.Errorf("get = %+v, %t with %d bytes, want the value of revision 2 alone", got, ok, r.bytes)
		}
		r.delete("a")
		if _, ok := r.get("a"); ok || r.bytes != 0 {
			t.Errorf("a deleted value is there, %d bytes", r.bytes)
		}
	})
	t.Run("Bytes", func(t *testing.T) {
		r := newRecent()
		for i := range 20 {
			r.put(fmt.Sprint(i), value(recentBytes/10, int64(i)))
		}
		if _, ok := r.get("0"); ok || r.bytes > recentBytes {
			t.Errorf("oldest there: %t, %d bytes, want at most %d", ok, r.bytes, recentBytes)
		}
		if _, ok := r.get("19"); !ok {
			t.Error("the newest value is forgotten")
		}
	})
	t.Run("Rewritten", func(t *testing.T) {
		r := newRecent()
		r.put("a", value(1, 1))
		for i := range 5 * recentValues {
			r.put("busy", value(1, int64(i)))
		}
		if len(r.order) > 2*recentValues || len(r.values) > 2 {
			t.Errorf("a key that is written often takes %d places", len(r.order))
		}
		if got, ok := r.get("busy"); !ok || got.revision != 5*recentValues-1 {
			t.Errorf("get = %+v, %t, want the last value", got, ok)
		}
	})
	t.Run("Order", func(t *testing.T) {
		r := newRecent()
		r.put("a", value(1, 1))
		r.put("b", value(1, 2))
		r.put("a", value(1, 3))
		r.forgetOldest() // the first write of a, which is stale
		r.forgetOldest()
		if _, ok := r.get("b"); ok {
			t.Error("b is older than a and still there")
		}
		if _, ok := r.get("a"); !ok {
			t.Error("a was written last and is gone")
		}
	})
}
