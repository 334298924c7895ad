// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	testclock "k8s.io/utils/clock/testing"
)

func testConfig(t *testing.T) Config {
	t.Helper()
	dir := t.TempDir()
	return Config{
		Dir:           filepath.Join(dir, "pki"),
		KubeconfigDir: filepath.Join(dir, "kubeconfigs"),
		DNSNames:      []string{"localhost"},
		IPs:           []net.IP{net.IPv4(127, 0, 0, 1)},
		ServerURL:     "https://127.0.0.1:6443",
		Identities:    []Identity{{Name: "admin", User: "fleet-admin", Groups: []string{"system:masters"}}},
		Clock:         testclock.NewFakePassiveClock(time.Now()),
	}
}

// contents maps every file below the configured directories to what it holds.
func contents(t *testing.T, cfg Config) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range []string{cfg.Dir, cfg.KubeconfigDir} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			data, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files[entry.Name()] = string(data)
		}
	}
	return files
}

func changed(before, after map[string]string) []string {
	var names []string
	for _, name := range []string{
		"ca.crt", "ca.key", "front-proxy-ca.crt", "sa.key", "apiserver.crt", "front-proxy-client.crt", "admin.crt", "admin.kubeconfig",
	} {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	return names
}

func TestEnsureRenews(t *testing.T) {
	leaves := []string{"apiserver.crt", "front-proxy-client.crt", "admin.crt", "admin.kubeconfig"}
	tests := map[string]struct {
		reason string
		edit   func(*Config)
		want   []string
	}{
		"Restart": {
			reason: "a restart must reuse everything, or kubeconfigs in the field stop working",
			edit:   func(*Config) {},
		},
		"NewAddress": {
			reason: "a serving certificate that does not name the new address is issued anew, nothing else",
			edit:   func(c *Config) { c.IPs = append(c.IPs, net.IPv4(10, 1, 2, 3)) },
			want:   []string{"apiserver.crt"},
		},
		"HalfLife": {
			reason: "half of a leaf's life is left: keep it",
			edit:   func(c *Config) { c.Clock = testclock.NewFakePassiveClock(time.Now().Add(leafLifetime / 2)) },
		},
		"NearlyExpired": {
			reason: "past two thirds of their life all leaves are renewed, authorities stay",
			edit:   func(c *Config) { c.Clock = testclock.NewFakePassiveClock(time.Now().Add(leafLifetime * 3 / 4)) },
			want:   leaves,
		},
		"OtherServerURL": {
			reason: "kubeconfigs follow the address, certificates stay",
			edit:   func(c *Config) { c.ServerURL = "https://127.0.0.1:7443" },
			want:   []string{"admin.kubeconfig"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			if _, err := Ensure(cfg); err != nil {
				t.Fatalf("first Ensure: %v", err)
			}
			before := contents(t, cfg)
			tc.edit(&cfg)
			if _, err := Ensure(cfg); err != nil {
				t.Fatalf("second Ensure: %v", err)
			}
			if diff := cmp.Diff(tc.want, changed(before, contents(t, cfg))); diff != "" {
				t.Errorf("%s: files changed by the second Ensure, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestEnsureRefusesHalfAnAuthority(t *testing.T) {
	cfg := testConfig(t)
	files, err := Ensure(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files.CAKey); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(cfg); err == nil {
		t.Error("Ensure made a new CA over a certificate whose key was lost; want an error that names it")
	}
}

func TestEnsureProtectsPrivateFiles(t *testing.T) {
	cfg := testConfig(t)
	files, err := Ensure(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{
		cfg.Dir: 0o700, cfg.KubeconfigDir: 0o700, files.CAKey: 0o600, files.ServingKey: 0o600,
		files.ServiceAccountKey: 0o600, files.Kubeconfigs["admin"]: 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %s: want %04o, got %04o", filepath.Base(path), want, got)
		}
	}
}
