// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/third_party/forked/golang/btree"
)

type object = metav1.PartialObjectMetadata

func entryAt(key string, resourceVersion uint64) *Entry[*object] {
	return &Entry[*object]{Key: key, ResourceVersion: resourceVersion, Object: &object{}}
}

func newLedger() *Ledger[*object] { return New(func(*object) int64 { return 1 }) }

// keysOf lists key@version.
func keysOf(objects *btree.BTree[*Entry[*object]]) []string {
	var keys []string
	objects.Ascend(func(e *Entry[*object]) bool {
		keys = append(keys, fmt.Sprintf("%s@%d", e.Key, e.ResourceVersion))
		return true
	})
	return keys
}

func TestLedgerHistory(t *testing.T) {
	l := newLedger()
	a1, b2, a3 := entryAt("a", 10), entryAt("b", 20), entryAt("a", 30)
	l.Reset(15, []*Entry[*object]{a1})
	l.Commit(25, []Change[*object]{{ResourceVersion: b2.ResourceVersion, Next: b2}})
	l.Commit(35, []Change[*object]{{ResourceVersion: a3.ResourceVersion, Old: a1, Next: a3}})
	l.Commit(45, []Change[*object]{{ResourceVersion: 40, Old: b2}})
	cases := map[string]struct {
		reason  string
		version uint64
		want    []string
		expired bool
	}{
		"Loaded":  {reason: "The state that was loaded.", version: 15, want: []string{"a@10"}},
		"Added":   {reason: "A later change and a later deletion are taken back.", version: 25, want: []string{"a@10", "b@20"}},
		"Between": {reason: "Versions before a position count.", version: 30, want: []string{"a@30", "b@20"}},
		"Now":     {reason: "The state now.", version: 45, want: []string{"a@30"}},
		"Before":  {reason: "Nothing is known of before the load.", version: 10, expired: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			works, err := l.SnapshotAt(tc.version)
			if apierrors.IsResourceExpired(err) != tc.expired {
				t.Fatalf("%s\nSnapshotAt: %v, want expired %t", tc.reason, err, tc.expired)
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
	l.Reset(1, nil)
	_, _, r := l.SnapshotAndFollow()
	defer r.Close()
	got, err := r.Next()
	if err != nil || len(got.Changes) != 0 || got.Position != 1 {
		t.Fatalf("next with nothing new = %+v, %v, want no changes at revision 1", got, err)
	}
	e := entryAt("a", 2)
	l.Commit(2, []Change[*object]{{ResourceVersion: e.ResourceVersion, Next: e}})
	select {
	case <-got.Advanced:
	default:
		t.Fatal("the reader is not woken by a commit")
	}
	if got, err = r.Next(); err != nil || len(got.Changes) != 1 {
		t.Fatalf("next = %+v, %v, want one change", got, err)
	}
	l.Commit(2, []Change[*object]{{ResourceVersion: e.ResourceVersion, Next: e}}) // again: ignored
	if got, err = r.Next(); err != nil || len(got.Changes) != 0 || got.Position != 2 {
		t.Fatalf("next = %+v, %v, want no more changes at revision 2", got, err)
	}
	l.Reset(9, nil)
	if _, err = r.Next(); !apierrors.IsResourceExpired(err) {
		t.Errorf("next after a reset: %v, want expired", err)
	}
	l.Stop()
	if _, err = r.Next(); !errors.Is(err, ErrStopped) {
		t.Errorf("next after stop: %v, want stopped", err)
	}
}

// TestLedgerForgets keeps changes for a reader that is behind, as far as it goes,
// and few without one.
func TestLedgerForgets(t *testing.T) {
	l := newLedger()
	l.Reset(1, nil)
	_, _, slow := l.SnapshotAndFollow()
	position := uint64(1)
	commit := func(count int) {
		for range count {
			position++
			e := entryAt("a", position)
			l.Commit(position, []Change[*object]{{ResourceVersion: e.ResourceVersion, Next: e}})
		}
	}
	commit(5 * keptChanges)
	read := 0
	for read < 5*keptChanges {
		got, err := slow.Next()
		if err != nil {
			t.Fatalf("a reader that is %d changes behind: %v", 5*keptChanges-read, err)
		}
		read += len(got.Changes)
	}
	commit(2 * keptChanges)
	if kept := len(l.changes); kept > 4*keptChanges {
		t.Errorf("%d changes are kept though the only reader is %d behind", kept, 2*keptChanges)
	}
	slow.Close()
	commit(2 * keptChanges)
	if kept := len(l.changes); kept > 2*keptChanges+1 {
		t.Errorf("%d changes are kept without a reader", kept)
	}
	if _, err := l.Follow(1); !apierrors.IsResourceExpired(err) {
		t.Errorf("follow from what was forgotten: %v, want expired", err)
	}
}

func TestLedgerGivesUpSlowReaders(t *testing.T) {
	l := newLedger()
	l.Reset(1, nil)
	_, _, slow := l.SnapshotAndFollow()
	defer slow.Close()
	changes := make([]Change[*object], maxChanges+3*keptChanges)
	for i := range changes {
		e := entryAt(fmt.Sprint(i), uint64(i+2))
		changes[i] = Change[*object]{ResourceVersion: e.ResourceVersion, Next: e}
	}
	l.Commit(uint64(len(changes)+1), changes)
	if _, err := slow.Next(); !apierrors.IsResourceExpired(err) {
		t.Errorf("reader further behind than %d changes: %v, want expired", maxChanges, err)
	}
}
