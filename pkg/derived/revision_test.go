// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import "testing"

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
