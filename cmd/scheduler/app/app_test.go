// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/framework/runtime"
)

func TestFlags(t *testing.T) {
	flags := NewCommand().Flags()
	for name, want := range map[string]string{
		"kubeconfig":                      "",
		"config":                          "",
		"leader-elect":                    "true",
		"leader-elect-resource-name":      "fleet-scheduler",
		"leader-elect-resource-namespace": "kube-system",
		"secure-port":                     "10259",
		"v":                               "0",
	} {
		flag := flags.Lookup(name)
		if flag == nil {
			t.Errorf("flag --%s: want it, got none", name)
			continue
		}
		if flag.DefValue != want {
			t.Errorf("flag --%s: want default %q, got %q", name, want, flag.DefValue)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("apiVersion: v1\nkind: Config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		reason string
		change func(*Options)
		want   string
	}{
		"NoFile":       {reason: "A file that is named has to exist.", change: func(o *Options) { o.ConfigFile = "/does/not/exist" }, want: "read scheduler configuration"},
		"WrongFile":    {reason: "And be of the right kind.", change: func(o *Options) { o.ConfigFile = wrong }, want: "want SchedulerConfiguration"},
		"NoKubeconfig": {reason: "The fleet has to be found.", change: func(o *Options) { o.Kubeconfig = "/does/not/exist" }, want: "load the kubeconfig of the fleet"},
		"Lock":         {reason: "Leases are the only lock.", change: func(o *Options) { o.LeaderElection.ResourceLock = "configmaps" }, want: "leases"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			opts := NewOptions()
			tc.change(opts)
			_, err := opts.config()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("\n%s\nconfig(): want error with %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

func TestWithPlugin(t *testing.T) {
	registry := runtime.Registry{}
	own := WithPlugin("Own", func(json.RawMessage, framework.Handle) (framework.Plugin, error) { return nil, nil })
	if err := own(registry); err != nil {
		t.Fatal(err)
	}
	if err := own(registry); err == nil {
		t.Error("a second plugin of the same name: want an error")
	}
}

func TestReadiness(t *testing.T) {
	cases := map[string]struct {
		reason        string
		working, done bool
		want          int
	}{
		"StandsBy": {reason: "One that stands by is ready to take over.", want: http.StatusOK},
		"Starts":   {reason: "One that works is not ready before it has learned all.", working: true, want: http.StatusInternalServerError},
		"Works":    {reason: "Then it is.", working: true, done: true, want: http.StatusOK},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var w work
			w.running.Store(tc.working)
			recorder := httptest.NewRecorder()
			NewOptions().handler(w.ready(func() bool { return tc.done })).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
			if recorder.Code != tc.want {
				t.Errorf("\n%s\nGET /readyz: want %d, got %d", tc.reason, tc.want, recorder.Code)
			}
		})
	}
}
