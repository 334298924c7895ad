// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMirror(t *testing.T) {
	at := func(name, version string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}}
	}
	var events []string
	completed := 0
	m := newMirror(cutNode, func(old, now *node, version string) {
		switch {
		case old == nil:
			events = append(events, fmt.Sprintf("+%s@%s", now.Name, version))
		case now == nil:
			events = append(events, fmt.Sprintf("-%s@%s", old.Name, version))
		default:
			events = append(events, fmt.Sprintf("%s:%s@%s", now.Name, old.ResourceVersion, version))
		}
	}, func() { completed++ })
	check := func(what string, do func() error, want ...string) {
		t.Helper()
		events = nil
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		slices.Sort(events)
		if diff := cmp.Diff(want, events); diff != "" {
			t.Errorf("%s: events -want +got:\n%s", what, diff)
		}
	}
	if m.hasSynced() {
		t.Error("hasSynced() before the first list")
	}
	check("first list", func() error { return m.Replace([]any{at("a", "1"), at("b", "2")}, "5") }, "+a@1", "+b@2")
	if !m.hasSynced() || completed != 1 {
		t.Errorf("after the first list: hasSynced() = %t, completed %d times", m.hasSynced(), completed)
	}
	check("add", func() error { return m.Add(at("c", "6")) }, "+c@6")
	check("update", func() error { return m.Update(at("a", "7")) }, "a:1@7")
	check("delete, with the version of the end", func() error { return m.Delete(at("b", "8")) }, "-b@8")
	check("delete of what is not there", func() error { return m.Delete(at("b", "8")) })
	check("another list: one is gone, one the same, one newer", func() error { return m.Replace([]any{at("a", "7"), at("d", "9")}, "10") }, "+d@9", "-c@10")
	if completed != 1 {
		t.Errorf("completed was told %d times", completed)
	}
	if _, ok := m.get("a"); !ok {
		t.Error("get(a): not found")
	}
	if err := m.Add(&corev1.Pod{}); err == nil {
		t.Error("an object of another type is taken")
	}
}
