// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/util/sets"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/framework/parallelize"
)

// Enabled is a plugin a profile runs.
type Enabled struct {
	// Name in the registry.
	Name string
	// Weight of its scores.
	Weight int64
	// Args for its factory.
	Args json.RawMessage
}

// Profile is a set of plugins under the name that policies choose it by.
type Profile struct {
	// SchedulerName is the name.
	SchedulerName string
	// Plugins in the order they run.
	Plugins []Enabled
}

// Framework runs the plugins of one profile.
type Framework struct {
	name       string
	preFilters []framework.PreFilterPlugin
	filters    []framework.FilterPlugin
	scores     []weighted
	selects    framework.SelectPlugin
	assigns    framework.AssignPlugin
	reserves   []framework.ReservePlugin
	events     map[string]framework.Event
}

type weighted struct {
	framework.ScorePlugin
	weight int64
}

// New makes the plugins of a profile. A profile needs exactly one plugin that
// selects and one that assigns.
func New(registry Registry, profile Profile, handle framework.Handle) (*Framework, error) {
	f := &Framework{name: profile.SchedulerName, events: map[string]framework.Event{}}
	for _, enabled := range profile.Plugins {
		factory, ok := registry[enabled.Name]
		if !ok {
			return nil, fmt.Errorf("make profile %q: no plugin is named %q", profile.SchedulerName, enabled.Name)
		}
		plugin, err := factory(enabled.Args, handle)
		if err != nil {
			return nil, fmt.Errorf("make plugin %q of profile %q: %w", enabled.Name, profile.SchedulerName, err)
		}
		if err := f.add(plugin, enabled.Weight); err != nil {
			return nil, fmt.Errorf("make profile %q: %w", profile.SchedulerName, err)
		}
	}
	if f.selects == nil || f.assigns == nil {
		return nil, fmt.Errorf("make profile %q: one plugin has to select members and one to assign replicas", profile.SchedulerName)
	}
	return f, nil
}

var errSecond = errors.New("a second plugin for an extension point that has one")

func (f *Framework) add(plugin framework.Plugin, weight int64) error {
	if _, ok := f.events[plugin.Name()]; ok {
		return fmt.Errorf("enable plugin %q: it is enabled already", plugin.Name())
	}
	f.events[plugin.Name()] = framework.AnyEvent
	if p, ok := plugin.(framework.EventInterest); ok {
		f.events[plugin.Name()] = p.Events()
	}
	if p, ok := plugin.(framework.PreFilterPlugin); ok {
		f.preFilters = append(f.preFilters, p)
	}
	if p, ok := plugin.(framework.FilterPlugin); ok {
		f.filters = append(f.filters, p)
	}
	if p, ok := plugin.(framework.ScorePlugin); ok {
		f.scores = append(f.scores, weighted{ScorePlugin: p, weight: max(weight, 1)})
	}
	if p, ok := plugin.(framework.ReservePlugin); ok {
		f.reserves = append(f.reserves, p)
	}
	if p, ok := plugin.(framework.SelectPlugin); ok {
		if f.selects != nil {
			return fmt.Errorf("enable plugin %q: %w", plugin.Name(), errSecond)
		}
		f.selects = p
	}
	if p, ok := plugin.(framework.AssignPlugin); ok {
		if f.assigns != nil {
			return fmt.Errorf("enable plugin %q: %w", plugin.Name(), errSecond)
		}
		f.assigns = p
	}
	return nil
}

// SchedulerName is the name policies choose the profile by.
func (f *Framework) SchedulerName() string { return f.name }

// Filter returns the candidates that pass, and notes in the diagnosis why the
// others do not. A refusal of the whole request leaves none.
func (f *Framework) Filter(ctx context.Context, request *framework.Request, candidates []*framework.Candidate, diagnosis *framework.Diagnosis) ([]*framework.Candidate, error) {
	within := request.Strategy.Within
	for _, plugin := range f.preFilters {
		only, status := plugin.PreFilter(ctx, request)
		if done, err := f.refused(plugin, status, diagnosis); done {
			return nil, err
		}
		within = intersect(within, only)
	}
	considered := consider(candidates, within, request.Strategy.Keep)
	refusals := make([]refusal, len(considered))
	parallelize.Until(ctx, len(considered), func(i int) {
		refusals[i].plugin, refusals[i].status = f.filter(ctx, request, considered[i])
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return f.passed(considered, refusals, diagnosis)
}

// refusal is what the plugins say about one member, nothing when it passes.
type refusal struct {
	plugin string
	status *framework.Status
}

// consider returns the candidates within a set, nil for all, and those that keep
// what they have.
func consider(candidates []*framework.Candidate, within sets.Set[string], keep bool) []*framework.Candidate {
	if within == nil {
		return candidates
	}
	considered := make([]*framework.Candidate, 0, min(len(candidates), len(within)))
	for _, candidate := range candidates {
		if within.Has(candidate.Name()) || keep && candidate.Placed {
			considered = append(considered, candidate)
		}
	}
	return considered
}

// passed returns the candidates that nobody refused, and notes in the diagnosis why
// the others were.
func (f *Framework) passed(considered []*framework.Candidate, refusals []refusal, diagnosis *framework.Diagnosis) ([]*framework.Candidate, error) {
	feasible := make([]*framework.Candidate, 0, len(considered))
	for i, candidate := range considered {
		plugin, status := refusals[i].plugin, refusals[i].status
		if err := status.Err(); err != nil {
			return nil, fmt.Errorf("filter cluster %q with plugin %q: %w", candidate.Name(), plugin, err)
		}
		if status == nil {
			feasible = append(feasible, candidate)
			continue
		}
		diagnosis.Events |= f.events[plugin]
		diagnosis.Reasons = append(diagnosis.Reasons, workv1alpha1.ClusterReason{
			ClusterName: candidate.Name(),
			Plugin:      plugin,
			Message:     status.Message(),
		})
	}
	diagnosis.Feasible = len(feasible)
	return feasible, nil
}

func (f *Framework) filter(ctx context.Context, request *framework.Request, candidate *framework.Candidate) (string, *framework.Status) {
	for _, plugin := range f.filters {
		if status := plugin.Filter(ctx, request, candidate); status != nil {
			return plugin.Name(), status
		}
	}
	return "", nil
}

// refused notes a refusal of the whole request.
func (f *Framework) refused(plugin framework.Plugin, status *framework.Status, diagnosis *framework.Diagnosis) (bool, error) {
	if status == nil {
		return false, nil
	}
	if err := status.Err(); err != nil {
		return true, fmt.Errorf("run plugin %q: %w", plugin.Name(), err)
	}
	diagnosis.Events |= f.events[plugin.Name()]
	diagnosis.Note = status.Message()
	return true, nil
}

func intersect(a, b sets.Set[string]) sets.Set[string] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	default:
		return a.Intersection(b)
	}
}

// Score sets the score of every candidate: the sum over all plugins of score
// times weight.
func (f *Framework) Score(ctx context.Context, request *framework.Request, candidates []*framework.Candidate) error {
	if len(candidates) < 2 {
		return nil
	}
	scores := make([]int64, len(candidates))
	for _, plugin := range f.scores {
		for i, candidate := range candidates {
			score, status := plugin.Score(ctx, request, candidate)
			if status != nil {
				return fmt.Errorf("score cluster %q with plugin %q: %w", candidate.Name(), plugin.Name(), asError(status))
			}
			scores[i] = score
		}
		if normalizer, ok := plugin.ScorePlugin.(framework.ScoreNormalizer); ok {
			normalizer.NormalizeScores(scores)
		}
		for i, candidate := range candidates {
			if scores[i] < 0 || scores[i] > framework.MaxScore {
				return fmt.Errorf("score cluster %q with plugin %q: %d is outside 0 to %d", candidate.Name(), plugin.Name(), scores[i], framework.MaxScore)
			}
			candidate.Score += scores[i] * plugin.weight
		}
	}
	return nil
}

// Select returns the members to use, best first.
func (f *Framework) Select(ctx context.Context, request *framework.Request, candidates []*framework.Candidate, diagnosis *framework.Diagnosis) ([]*framework.Candidate, error) {
	selected, status := f.selects.Select(ctx, request, candidates)
	if done, err := f.refused(f.selects, status, diagnosis); done {
		return nil, err
	}
	return selected, nil
}

// Assign returns the members with their replicas.
func (f *Framework) Assign(ctx context.Context, request *framework.Request, selected []*framework.Candidate, diagnosis *framework.Diagnosis) ([]workv1alpha1.TargetCluster, error) {
	clusters, status := f.assigns.Assign(ctx, request, selected)
	if done, err := f.refused(f.assigns, status, diagnosis); done {
		return nil, err
	}
	return clusters, nil
}

// Reserve tells the plugins of a decision. When one objects, those told before it
// are told otherwise.
func (f *Framework) Reserve(ctx context.Context, request *framework.Request, clusters []workv1alpha1.TargetCluster) error {
	for i, plugin := range f.reserves {
		if status := plugin.Reserve(ctx, request, clusters); status != nil {
			for _, told := range f.reserves[:i+1] {
				told.Unreserve(ctx, request, clusters)
			}
			return fmt.Errorf("reserve with plugin %q: %w", plugin.Name(), asError(status))
		}
	}
	return nil
}

// Unreserve tells the plugins that a decision was not written.
func (f *Framework) Unreserve(ctx context.Context, request *framework.Request, clusters []workv1alpha1.TargetCluster) {
	for _, plugin := range f.reserves {
		plugin.Unreserve(ctx, request, clusters)
	}
}

func asError(status *framework.Status) error {
	if err := status.Err(); err != nil {
		return err
	}
	return errors.New(status.Message())
}
