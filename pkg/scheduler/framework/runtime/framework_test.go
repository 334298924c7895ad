// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

// everything is a plugin at every extension point, of which tests set what they
// are about.
type everything struct {
	name     string
	only     sets.Set[string]
	refuse   string // member that is refused
	err      error
	scores   map[string]int64
	objects  bool // to reservations
	reserved *[]string
}

func (e everything) Name() string { return e.name }

func (e everything) Events() framework.Event { return framework.MemberTaints }

func (e everything) PreFilter(context.Context, *framework.Request) (sets.Set[string], *framework.Status) {
	return e.only, nil
}

func (e everything) Filter(_ context.Context, _ *framework.Request, c *framework.Candidate) *framework.Status {
	if e.err != nil {
		return framework.AsStatus(e.err)
	}
	if c.Name() == e.refuse {
		return framework.Refuse("was refused")
	}
	return nil
}

func (e everything) Score(_ context.Context, _ *framework.Request, c *framework.Candidate) (int64, *framework.Status) {
	return e.scores[c.Name()], nil
}

func (e everything) Select(_ context.Context, _ *framework.Request, c []*framework.Candidate) ([]*framework.Candidate, *framework.Status) {
	return c, nil
}

func (e everything) Assign(_ context.Context, _ *framework.Request, c []*framework.Candidate) ([]workv1alpha1.TargetCluster, *framework.Status) {
	var out []workv1alpha1.TargetCluster
	for _, candidate := range c {
		out = append([]workv1alpha1.TargetCluster{{Name: candidate.Name()}}, out...)
	}
	return out, nil
}

func (e everything) Reserve(context.Context, *framework.Request, []workv1alpha1.TargetCluster) *framework.Status {
	*e.reserved = append(*e.reserved, "+"+e.name)
	if e.objects {
		return framework.Refuse("objection")
	}
	return nil
}

func (e everything) Unreserve(context.Context, *framework.Request, []workv1alpha1.TargetCluster) {
	*e.reserved = append(*e.reserved, "-"+e.name)
}

// filterOnly and scoreOnly hide the other extension points of a plugin.
type filterOnly struct{ framework.FilterPlugin }

type scoreOnly struct{ framework.ScorePlugin }

type reserveOnly struct{ framework.ReservePlugin }

func factory(plugin framework.Plugin) PluginFactory {
	return func(json.RawMessage, framework.Handle) (framework.Plugin, error) { return plugin, nil }
}

func newFramework(t *testing.T, plugins ...framework.Plugin) *Framework {
	t.Helper()
	registry, profile := Registry{}, Profile{SchedulerName: "test"}
	for _, plugin := range plugins {
		if err := registry.Register(plugin.Name(), factory(plugin)); err != nil {
			t.Fatal(err)
		}
		profile.Plugins = append(profile.Plugins, Enabled{Name: plugin.Name(), Weight: 2})
	}
	f, err := New(registry, profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func candidates(names ...string) []*framework.Candidate {
	var out []*framework.Candidate
	for _, name := range names {
		cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		out = append(out, &framework.Candidate{Member: &framework.Member{Cluster: cluster}})
	}
	return out
}

func names(candidates []*framework.Candidate) []string {
	var out []string
	for _, c := range candidates {
		out = append(out, c.Name())
	}
	return out
}

func TestNewErrors(t *testing.T) {
	whole := factory(everything{name: "A"})
	cases := map[string]struct {
		reason  string
		enabled []Enabled
		want    string
	}{
		"Unknown":  {reason: "A plugin has to be registered.", enabled: []Enabled{{Name: "X"}}, want: `no plugin is named "X"`},
		"Twice":    {reason: "A plugin runs once.", enabled: []Enabled{{Name: "A"}, {Name: "A"}}, want: "it is enabled already"},
		"Second":   {reason: "One plugin selects.", enabled: []Enabled{{Name: "A"}, {Name: "B"}}, want: "a second plugin"},
		"Missing":  {reason: "Some plugin has to select.", enabled: []Enabled{{Name: "F"}}, want: "one plugin has to select"},
		"NotMade":  {reason: "The error of a factory is told.", enabled: []Enabled{{Name: "Bad"}}, want: "bad args"},
		"NoPlugin": {reason: "A profile without plugins cannot place.", want: "one plugin has to select"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			registry := Registry{
				"A": whole,
				"B": factory(everything{name: "B"}),
				"F": factory(filterOnly{everything{name: "F"}}),
				"Bad": func(json.RawMessage, framework.Handle) (framework.Plugin, error) {
					return nil, errors.New("bad args")
				},
			}
			_, err := New(registry, Profile{SchedulerName: "test", Plugins: tc.enabled}, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("\n%s\nNew(...): want error with %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

func TestRegistry(t *testing.T) {
	registry := Registry{"A": factory(everything{name: "A"})}
	if err := registry.Merge(Registry{"A": factory(everything{name: "A"})}); err == nil {
		t.Error("Merge(...) of a name that is taken: want an error")
	}
}

func TestFilter(t *testing.T) {
	f := newFramework(t,
		everything{name: "A", only: sets.New("m1", "m2", "m3")},
		filterOnly{everything{name: "B", refuse: "m2"}},
	)
	all := candidates("m1", "m2", "m3", "m4", "m5")
	all[3].Placed = true
	cases := map[string]struct {
		reason   string
		strategy framework.Strategy
		want     []string
	}{
		"PreFilter": {reason: "Members outside are not looked at, refused ones have a reason.", want: []string{"m1", "m3"}},
		"Within":    {reason: "The strategy narrows further.", strategy: framework.Strategy{Within: sets.New("m3", "m4")}, want: []string{"m3"}},
		"Keep":      {reason: "What is placed is kept, though outside.", strategy: framework.Strategy{Keep: true}, want: []string{"m1", "m3", "m4"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			diagnosis := framework.Diagnosis{}
			feasible, err := f.Filter(t.Context(), &framework.Request{Strategy: tc.strategy}, all, &diagnosis)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, names(feasible)); diff != "" {
				t.Errorf("\n%s\nFilter(...): -want, +got:\n%s", tc.reason, diff)
			}
			if tc.strategy.Within != nil {
				return
			}
			want := []workv1alpha1.ClusterReason{{ClusterName: "m2", Plugin: "B", Message: "was refused"}}
			if diff := cmp.Diff(want, diagnosis.Reasons); diff != "" {
				t.Errorf("\n%s\nreasons: -want, +got:\n%s", tc.reason, diff)
			}
			if diagnosis.Events != framework.AnyEvent {
				t.Errorf("a plugin that names no events is asked again after any: got %b", diagnosis.Events)
			}
		})
	}
}

func TestFilterError(t *testing.T) {
	broken := errors.New("broken")
	f := newFramework(t, everything{name: "A", err: broken})
	_, err := f.Filter(t.Context(), &framework.Request{}, candidates("m1"), &framework.Diagnosis{})
	if !errors.Is(err, broken) {
		t.Errorf("Filter(...): want error %v, got %v", broken, err)
	}
}

func TestScore(t *testing.T) {
	cases := map[string]struct {
		reason  string
		scores  map[string]int64
		want    []int64
		wantErr bool
	}{
		"Weighted": {reason: "Scores times weights are added up.", scores: map[string]int64{"m1": 10, "m2": 1000}, want: []int64{20, 2000}},
		"TooHigh":  {reason: "A score out of range is an error.", scores: map[string]int64{"m1": 1001}, wantErr: true},
		"Negative": {reason: "A score out of range is an error.", scores: map[string]int64{"m2": -1}, wantErr: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFramework(t, everything{name: "A"}, scoreOnly{everything{name: "B", scores: tc.scores}})
			all := candidates("m1", "m2")
			err := f.Score(t.Context(), &framework.Request{}, all)
			if tc.wantErr {
				if err == nil {
					t.Errorf("\n%s\nScore(...): want an error", tc.reason)
				}
				return
			}
			if diff := cmp.Diff(tc.want, []int64{all[0].Score, all[1].Score}); diff != "" || err != nil {
				t.Errorf("\n%s\nScore(...): %v, -want, +got:\n%s", tc.reason, err, diff)
			}
		})
	}
}

func TestAssignKeepsOrder(t *testing.T) {
	f := newFramework(t, everything{name: "A"})
	got, err := f.Assign(t.Context(), &framework.Request{}, candidates("m1", "m2"), &framework.Diagnosis{})
	if diff := cmp.Diff([]workv1alpha1.TargetCluster{{Name: "m2"}, {Name: "m1"}}, got); diff != "" || err != nil {
		t.Errorf("Assign(...): %v, -want, +got:\n%s", err, diff)
	}
}

func TestReserve(t *testing.T) {
	var told []string
	f := newFramework(t,
		everything{name: "A", reserved: &told},
		reserveOnly{everything{name: "B", reserved: &told, objects: true}},
		reserveOnly{everything{name: "C", reserved: &told}},
	)
	if err := f.Reserve(t.Context(), &framework.Request{}, nil); err == nil {
		t.Error("Reserve(...): want an error")
	}
	if diff := cmp.Diff([]string{"+A", "+B", "-A", "-B"}, told); diff != "" {
		t.Errorf("those told before an objection are told otherwise: -want, +got:\n%s", diff)
	}
}
