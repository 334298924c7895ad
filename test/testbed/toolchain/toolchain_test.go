// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"debug/buildinfo"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMajorMinor(t *testing.T) {
	cases := map[string]struct {
		reason string
		want   [2]string
	}{
		"v1.36.3":       {"a release has both", [2]string{"1", "36"}},
		"v1.37.0-rc.1":  {"a candidate has the release's minor version", [2]string{"1", "37"}},
		"v2":            {"a missing minor version is empty, not a crash", [2]string{"2", ""}},
		"v1.36.3+fleet": {"build metadata is not part of the minor version", [2]string{"1", "36"}},
	}
	for version, tc := range cases {
		t.Run(version, func(t *testing.T) {
			major, minor := majorMinor(version)
			if diff := cmp.Diff(tc.want, [2]string{major, minor}); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestKubeLDFlags(t *testing.T) {
	flags := kubeLDFlags(pin{Version: "v1.36.3", Time: time.Unix(0, 0)})
	for _, want := range []string{
		"-X k8s.io/component-base/version.gitVersion=v1.36.3",
		"-X k8s.io/client-go/pkg/version.gitVersion=v1.36.3",
		"-X k8s.io/component-base/version.gitMinor=36",
		"-X k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("servers and clients must both report the pinned version: %q lacks %q", flags, want)
		}
	}
}

func TestBatches(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, path.Join(bin, "built")); err != nil {
		t.Fatal(err)
	}
	flags := func(pin) string { return "" }
	built := program{"built", info.Path, info.Main.Path, "a", flags}
	other := program{"other", "example.org/x/other", "example.org/x", "a", flags}
	third := program{"third", "example.org/x/third", "example.org/x", "a", flags}
	apart := program{"apart", "example.org/y/apart", "example.org/y", "b", flags}
	all := []program{built, other, third, apart}

	cases := map[string]struct {
		reason string
		pins   map[string]pin
		want   [][]string
	}{
		"UpToDate": {
			reason: "a program of the pinned version is not built; missing ones are, together when they can be",
			pins:   map[string]pin{info.Main.Path: {Version: info.Main.Version}},
			want:   [][]string{{"other", "third"}, {"apart"}},
		},
		"PinMoved": {
			reason: "a program of another version than the pin is built again",
			pins:   map[string]pin{info.Main.Path: {Version: "v9.9.9"}},
			want:   [][]string{{"built", "other", "third"}, {"apart"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got [][]string
			for _, b := range batches(bin, all, tc.pins) {
				var names []string
				for _, p := range b.programs {
					names = append(names, p.name)
				}
				got = append(got, names)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestProgramsBuiltTogetherKeepTheirNames(t *testing.T) {
	pins := map[string]pin{}
	for _, p := range programs() {
		pins[p.module] = pin{Path: p.module, Version: "v1.2.3"}
	}
	for _, b := range batches(t.TempDir(), programs(), pins) {
		if len(b.programs) == 1 {
			continue
		}
		for _, p := range b.programs {
			if path.Base(p.pkg) != p.name {
				t.Errorf("go build names %s after its package %s when it is built with others", p.name, p.pkg)
			}
		}
	}
}

func TestGoLog(t *testing.T) {
	cases := map[string]struct {
		reason string
		lines  []string
		want   goLog
	}{
		"Cold": {
			reason: "downloads and packages are counted apart",
			lines:  []string{"go: downloading k8s.io/api v0.36.3", "k8s.io/api/core/v1", "internal/abi"},
			want:   goLog{downloaded: 1, compiled: 2},
		},
		"CompileError": {
			reason: "a message is kept; the package headline above it is not one",
			lines:  []string{"fleet.dev/fleet/pkg/x", "# fleet.dev/fleet/pkg/x", "pkg/x/x.go:3:1: syntax error"},
			want:   goLog{compiled: 1, other: []string{"pkg/x/x.go:3:1: syntax error"}},
		},
		"GoMessage": {
			reason: "what the go command says is kept",
			lines:  []string{"go: no such module"},
			want:   goLog{other: []string{"go: no such module"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got goLog
			for _, line := range tc.lines {
				got.add(line)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(goLog{})); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
