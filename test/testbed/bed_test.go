// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// openBed opens a bed in dir with programs that exist but are never started.
func openBed(t *testing.T, dir string) *Bed {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{apiServer, fleetName} {
		if err := os.WriteFile(filepath.Join(bin, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := Open(t.Context(), Config{Dir: dir, Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	b := openBed(t, dir)
	if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrBusy) {
		t.Errorf("two programs must not manage one bed: got %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	openBed(t, dir)
}

func TestOpenAdopts(t *testing.T) {
	dir := t.TempDir()
	first := openBed(t, dir)
	for _, name := range []string{"member1", "member2"} {
		if _, err := first.ensureMember(t.Context(), MemberConfig{Name: name, Nodes: 3}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := first.ensureFleet(t.Context(), FleetConfig{Args: []string{"--v=4"}}); err != nil {
		t.Fatal(err)
	}
	self, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.record("member2/kwok", self); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := openBed(t, dir)
	if diff := cmp.Diff(first.state, second.state, cmp.AllowUnexported(state{}, identity{})); diff != "" {
		t.Errorf("a bed must remember ports, configuration and processes: -first +second:\n%s", diff)
	}
	var alive []string
	for _, p := range second.Processes() {
		if p.Alive() {
			alive = append(alive, p.Name())
		}
	}
	if diff := cmp.Diff([]string{"member2/kwok"}, alive); diff != "" {
		t.Errorf("exactly what runs must be adopted: -want +got:\n%s", diff)
	}
	if got := len(second.Processes()); got != 1+2*4+1 {
		t.Errorf("want etcd, two members and the fleet, got %d processes", got)
	}
}

func TestEnsureMember(t *testing.T) {
	b := openBed(t, t.TempDir())
	cases := map[string]struct {
		reason string
		name   string
		want   string
	}{
		"NotALabel": {"a name becomes part of file names and keys", "a/b", "not a usable name"},
		"Empty":     {"a member needs a name", "", "not a usable name"},
		"Reserved":  {"the directory of the etcd is taken", "etcd", "not a usable name"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := b.ensureMember(t.Context(), MemberConfig{Name: tc.name})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v", tc.reason, err)
			}
		})
	}
	m, err := b.ensureMember(t.Context(), MemberConfig{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.ensureMember(t.Context(), MemberConfig{Name: "a", Nodes: 9})
	if err != nil || again != m {
		t.Errorf("a member that exists keeps its configuration: got %v, %v", again, err)
	}
}

func TestStartMemberNeedsPrograms(t *testing.T) {
	b, err := Open(t.Context(), Config{Dir: t.TempDir(), Bin: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.StartMember(t.Context(), MemberConfig{Name: "a"}); !errors.Is(err, errNotBuilt) {
		t.Errorf("a missing build must be said, not met as a missing file later: got %v", err)
	}
}

func TestPortsAreDistinct(t *testing.T) {
	b := openBed(t, t.TempDir())
	for _, name := range []string{"a", "b", "c"} {
		if _, err := b.ensureMember(t.Context(), MemberConfig{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int]bool{}
	for _, port := range b.state.ports() {
		if seen[port] || port < firstPort || port > lastPort {
			t.Errorf("port %d is used twice or out of range: %v", port, b.state.ports())
		}
		seen[port] = true
	}
}

func TestDestroyLeavesStrangers(t *testing.T) {
	dir := t.TempDir()
	b := openBed(t, dir)
	m, err := b.ensureMember(t.Context(), MemberConfig{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{m.Kubeconfig(), filepath.Join(dir, "notes.txt")} {
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if diff := cmp.Diff([]string{"notes.txt"}, names); diff != "" {
		t.Errorf("only what the bed made may be removed: -want +got:\n%s", diff)
	}
}
