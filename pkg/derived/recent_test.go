// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"fmt"
	"testing"
)

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
