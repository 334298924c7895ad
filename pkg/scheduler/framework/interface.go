// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package framework

import (
	"context"

	"k8s.io/apimachinery/pkg/util/sets"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// MaxScore is the highest score a ScorePlugin may give; the lowest is 0.
const MaxScore int64 = 1000

// Plugin is the parent of all plugins.
type Plugin interface {
	// Name of the plugin in the registry, in configuration and in reasons.
	Name() string
}

// PreFilterPlugin looks at the request before any member.
type PreFilterPlugin interface {
	Plugin
	// PreFilter returns the only members worth looking at, nil for all, or why
	// there is none.
	PreFilter(ctx context.Context, request *Request) (sets.Set[string], *Status)
}

// FilterPlugin refuses members.
type FilterPlugin interface {
	Plugin
	// Filter returns nil when the member may run the template, or why not.
	Filter(ctx context.Context, request *Request, candidate *Candidate) *Status
}

// ScorePlugin ranks members.
type ScorePlugin interface {
	Plugin
	// Score returns how well the member suits; any number when the plugin
	// normalizes, else from 0 to MaxScore.
	Score(ctx context.Context, request *Request, candidate *Candidate) (int64, *Status)
}

// ScoreNormalizer is a ScorePlugin whose scores mean something only beside each
// other.
type ScoreNormalizer interface {
	ScorePlugin
	// NormalizeScores brings the scores of one cycle to 0 to MaxScore, in place.
	NormalizeScores(scores []int64)
}

// SelectPlugin chooses members. A profile has one.
type SelectPlugin interface {
	Plugin
	// Select returns the members to use, of those given, best first.
	Select(ctx context.Context, request *Request, candidates []*Candidate) ([]*Candidate, *Status)
}

// AssignPlugin divides replicas. A profile has one.
type AssignPlugin interface {
	Plugin
	// Assign returns the members with their replicas, those of a StatefulSet in the
	// order its Pods are counted through.
	Assign(ctx context.Context, request *Request, selected []*Candidate) ([]workv1alpha1.TargetCluster, *Status)
}

// ReservePlugin learns of decisions.
type ReservePlugin interface {
	Plugin
	// Reserve is called before the decision is written; a status that is not nil
	// stops it.
	Reserve(ctx context.Context, request *Request, clusters []workv1alpha1.TargetCluster) *Status
	// Unreserve is called when a reserved decision was not written. It has to
	// tolerate a decision it does not know.
	Unreserve(ctx context.Context, request *Request, clusters []workv1alpha1.TargetCluster)
}

// EventInterest is implemented by plugins whose refusal some events may lift. A
// plugin without it is asked again after every event.
type EventInterest interface {
	Plugin
	// Events returns the events worth asking again after.
	Events() Event
}

// Handle is what a plugin may keep of the scheduler.
type Handle interface {
	// Members returns the members as the current cycle sees them, by name. Not to
	// be changed.
	Members() []*Member
}
