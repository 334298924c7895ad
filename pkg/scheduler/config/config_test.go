// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fleet.dev/fleet/pkg/scheduler/framework/runtime"
)

const header = "apiVersion: scheduler.config.fleet.dev/v1alpha1\nkind: SchedulerConfiguration\n"

func TestDecode(t *testing.T) {
	got, err := Decode([]byte(header + `
parallelism: 4
profiles:
- schedulerName: mine
  plugins:
    disabled: [NodeFit]
    enabled:
    - name: PlacedAffinity
      weight: 7
    - name: Own
      args: {a: 1}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Parallelism = 4
	want.Profiles = []Profile{{SchedulerName: "mine", Plugins: Plugins{
		Disabled: []string{"NodeFit"},
		Enabled:  []Plugin{{Name: "PlacedAffinity", Weight: 7}, {Name: "Own", Args: json.RawMessage(`{"a":1}`)}},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Decode(...): -want, +got:\n%s", diff)
	}
}

func TestDecodeErrors(t *testing.T) {
	cases := map[string]struct {
		reason string
		data   string
		want   string
	}{
		"UnknownField":   {reason: "A field that does not exist is refused.", data: header + "paralelism: 4\n", want: "paralelism"},
		"TwiceField":     {reason: "A field given twice is refused.", data: header + "parallelism: 4\nparallelism: 5\n", want: "already set"},
		"OtherKind":      {reason: "Another kind of file is refused.", data: "apiVersion: v1\nkind: Config\n", want: "want SchedulerConfiguration"},
		"Parallelism":    {reason: "Values have a range.", data: header + "parallelism: -1\n", want: "parallelism: Invalid value"},
		"Grace":          {reason: "No Pod waits less than no time.", data: header + "pendingGracePeriod: -1s\n", want: "pendingGracePeriod: Invalid value"},
		"Backoff":        {reason: "The backoff grows.", data: header + "initialBackoff: 1m\n", want: "maxBackoff: Invalid value"},
		"NoName":         {reason: "A profile has a name.", data: header + "profiles: [{}]\n", want: "profiles[0].schedulerName: Required value"},
		"SameName":       {reason: "Names of profiles differ.", data: header + "profiles: [{schedulerName: a}, {schedulerName: a}]\n", want: "profiles[1].schedulerName: Duplicate value"},
		"NoSuchBuiltIn":  {reason: "Only what is there can be disabled.", data: header + "profiles: [{schedulerName: a, plugins: {disabled: [X]}}]\n", want: "profiles[0].plugins.disabled[0]: Not found"},
		"NegativeWeight": {reason: "Weights are not negative.", data: header + "profiles: [{schedulerName: a, plugins: {enabled: [{name: X, weight: -1}]}}]\n", want: "profiles[0].plugins.enabled[0].weight: Invalid value"},
		"EnabledTwice":   {reason: "A plugin runs once.", data: header + "profiles: [{schedulerName: a, plugins: {enabled: [{name: X}, {name: X}]}}]\n", want: "profiles[0].plugins.enabled[1].name: Duplicate value"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Decode([]byte(tc.data))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("\n%s\nDecode(...): want error with %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	names := func(p runtime.Profile) (out []string) {
		for _, plugin := range p.Plugins {
			out = append(out, plugin.Name)
		}
		return out
	}
	builtIn := names(Profile{}.Resolve())
	cases := map[string]struct {
		reason  string
		plugins Plugins
		want    []string
	}{
		"Default":  {reason: "All built-in plugins.", want: builtIn},
		"Disabled": {reason: "All but one.", plugins: Plugins{Disabled: builtIn[:1]}, want: builtIn[1:]},
		"Own":      {reason: "Own plugins follow.", plugins: Plugins{Enabled: []Plugin{{Name: "Own"}}}, want: append(slices.Clip(builtIn), "Own")},
		"OwnOnly":  {reason: "Nothing built in.", plugins: Plugins{Disabled: []string{"*"}, Enabled: []Plugin{{Name: "Own"}}}, want: []string{"Own"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, names(Profile{Plugins: tc.plugins}.Resolve())); diff != "" {
				t.Errorf("\n%s\nResolve(): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	reweighted := Profile{Plugins: Plugins{Enabled: []Plugin{{Name: "PlacedAffinity", Weight: 7}, {Name: "NodeFit"}}}}.Resolve()
	weights := map[string]int64{}
	for _, plugin := range reweighted.Plugins {
		weights[plugin.Name] = plugin.Weight
	}
	if weights["PlacedAffinity"] != 7 || weights["NodeFit"] != 1 || len(reweighted.Plugins) != len(builtIn) {
		t.Errorf("a built-in plugin takes a new weight in its place: got %v", weights)
	}
}
