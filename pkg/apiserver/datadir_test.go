// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTakeDataDir(t *testing.T) {
	tests := map[string]struct {
		reason  string
		prepare func(t *testing.T, dir string)
		want    string
	}{
		"Missing": {
			reason:  "a first start creates it",
			prepare: func(*testing.T, string) {},
		},
		"OpenToOthers": {
			reason: "it holds private keys",
			prepare: func(t *testing.T, dir string) {
				t.Helper()
				mkdir(t, dir, 0o755)
			},
			want: "run: chmod 0700",
		},
		"AFile": {
			reason: "the error names the flag",
			prepare: func(t *testing.T, dir string) {
				t.Helper()
				if err := os.WriteFile(dir, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			want: "(--data-dir)",
		},
		"InUse": {
			reason: "two servers must not share an etcd",
			prepare: func(t *testing.T, dir string) {
				t.Helper()
				lock, err := takeDataDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = lock.Release() })
			},
			want: "another fleet server is running on it",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			tc.prepare(t, dir)
			lock, err := takeDataDir(dir)
			if tc.want == "" {
				if err != nil {
					t.Fatalf("%s: takeDataDir: %v", tc.reason, err)
				}
				if err := lock.Release(); err != nil {
					t.Errorf("Release: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: takeDataDir: want an error containing %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

func mkdir(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	if err := os.Mkdir(dir, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
}
