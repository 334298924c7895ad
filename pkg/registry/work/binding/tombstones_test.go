// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package binding

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/apis/work"
)

// decision is a spec that places template uid on members.
func decision(uid types.UID, members ...string) work.BindingSpec {
	spec := work.BindingSpec{Resource: work.ObjectReference{Kind: "Deployment", Name: "web", UID: uid}}
	for _, member := range members {
		spec.Clusters = append(spec.Clusters, work.TargetCluster{Name: member, Replicas: 1})
	}
	return spec
}

func with(spec work.BindingSpec, tombstones ...work.Tombstone) work.BindingSpec {
	spec.Tombstones = tombstones
	return spec
}

func preserving(spec work.BindingSpec) work.BindingSpec {
	spec.PreserveResourcesOnDeletion = new(true)
	return spec
}

func TestNextTombstones(t *testing.T) {
	tests := map[string]struct {
		reason       string
		old, updated work.BindingSpec
		orphaned     bool
		want         []work.Tombstone
	}{
		"Unchanged": {
			reason:  "nobody left",
			old:     decision("a", "m1", "m2"),
			updated: decision("a", "m1", "m2"),
		},
		"MemberLeaves": {
			reason:  "what runs there has to be removed",
			old:     decision("a", "m1", "m2"),
			updated: decision("a", "m2"),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}},
		},
		"TemplateGone": {
			reason:  "an empty decision removes from every member",
			old:     decision("a", "m2", "m1"),
			updated: decision("a"),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}, {ClusterName: "m2", UID: "a"}},
		},
		"Recreated": {
			reason:  "a template of the same name is another object: the old one goes first, also where the new one is placed",
			old:     decision("a", "m1", "m2"),
			updated: decision("b", "m2", "m3"),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}, {ClusterName: "m2", UID: "a"}},
		},
		"WriterDropsTombstone": {
			reason:  "only a confirmation of the member takes a tombstone away",
			old:     with(decision("a", "m2"), work.Tombstone{ClusterName: "m1", UID: "a"}),
			updated: decision("a", "m2"),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}},
		},
		"WriterAddsTombstone": {
			reason:  "a tombstone for a member that keeps the template would delete what is wanted",
			old:     decision("a", "m1"),
			updated: with(decision("a", "m1"), work.Tombstone{ClusterName: "m1", UID: "a"}),
		},
		"MemberReturns": {
			reason:  "the same template is wanted there again",
			old:     with(decision("a", "m2"), work.Tombstone{ClusterName: "m1", UID: "a"}),
			updated: decision("a", "m1", "m2"),
		},
		"MemberReturnsForAnotherTemplate": {
			reason:  "the old object still has to go before the new one comes",
			old:     with(decision("b", "m2"), work.Tombstone{ClusterName: "m1", UID: "a"}),
			updated: decision("b", "m1", "m2"),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}},
		},
		"RecreatedTwice": {
			reason:  "the tombstone of the first comes first; the second may have been applied meanwhile",
			old:     with(decision("b", "m1"), work.Tombstone{ClusterName: "m1", UID: "a"}),
			updated: decision("c", "m1"),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}, {ClusterName: "m1", UID: "b"}},
		},
		"Orphan": {
			reason:  "the writer may release instead of delete what leaves in the same write",
			old:     decision("a", "m1", "m2"),
			updated: with(decision("a", "m2"), work.Tombstone{ClusterName: "m1", UID: "a", Orphan: true}),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a", Orphan: true}},
		},
		"OrphanEverywhere": {
			reason:  "a template deleted with --cascade=orphan is left in every member; what was recorded before stays as it was",
			old:     with(decision("a", "m1", "m2"), work.Tombstone{ClusterName: "m3", UID: "a"}),
			updated: with(decision("a"), work.Tombstone{ClusterName: "m1", UID: "a", Orphan: true}, work.Tombstone{ClusterName: "m2", UID: "a", Orphan: true}),
			want:    []work.Tombstone{{ClusterName: "m3", UID: "a"}, {ClusterName: "m1", UID: "a", Orphan: true}, {ClusterName: "m2", UID: "a", Orphan: true}},
		},
		"OrphanOfAnotherTemplate": {
			reason:  "what the writer releases is named by its uid",
			old:     decision("a", "m1"),
			updated: with(decision("a"), work.Tombstone{ClusterName: "m1", UID: "b", Orphan: true}),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}},
		},
		"PreservedTemplateGone": {
			reason:  "who knows that the template is gone says so, and what it preserved stays whatever the flag is now",
			old:     preserving(decision("a", "m1", "m2")),
			updated: with(decision("a"), work.Tombstone{ClusterName: "m1", UID: "a", Orphan: true}, work.Tombstone{ClusterName: "m2", UID: "a", Orphan: true}),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a", Orphan: true}, {ClusterName: "m2", UID: "a", Orphan: true}},
		},
		"PreservedLosesItsOnlyMember": {
			reason:  "the only member is unjoined and the template exists: a copy nobody knows of would run beside the one that follows",
			old:     preserving(decision("a", "m1")),
			updated: preserving(decision("a")),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}},
		},
		"Orphaned": {
			reason:   "the wish is recorded in the binding, whoever empties it",
			old:      decision("a", "m1", "m2"),
			updated:  decision("a"),
			orphaned: true,
			want:     []work.Tombstone{{ClusterName: "m1", UID: "a", Orphan: true}, {ClusterName: "m2", UID: "a", Orphan: true}},
		},
		"OrphanedAndRecreated": {
			reason:   "the name was taken again before the scheduler saw the end of the first",
			old:      decision("a", "m1", "m2"),
			updated:  decision("b", "m2"),
			orphaned: true,
			want:     []work.Tombstone{{ClusterName: "m1", UID: "a", Orphan: true}, {ClusterName: "m2", UID: "a", Orphan: true}},
		},
		"OrphanedAfterAMove": {
			reason:   "a recorded deletion stays one",
			old:      with(decision("a", "m2"), work.Tombstone{ClusterName: "m1", UID: "a"}),
			updated:  decision("a"),
			orphaned: true,
			want:     []work.Tombstone{{ClusterName: "m1", UID: "a"}, {ClusterName: "m2", UID: "a", Orphan: true}},
		},
		"PreservedRecreated": {
			reason:  "replacing a template is deleting it, also where the new one is placed",
			old:     preserving(decision("a", "m1", "m2")),
			updated: decision("b", "m2"),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a", Orphan: true}, {ClusterName: "m2", UID: "a", Orphan: true}},
		},
		"PreservedMoves": {
			reason:  "nobody deleted the template: a copy left behind would run twice",
			old:     preserving(decision("a", "m1", "m2")),
			updated: preserving(decision("a", "m2", "m3")),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}},
		},
		"PreservedTooLate": {
			reason:  "a flag set with the deletion or after it is for what comes next",
			old:     with(decision("a", "m1"), work.Tombstone{ClusterName: "m2", UID: "a"}),
			updated: preserving(decision("b", "m1")),
			want:    []work.Tombstone{{ClusterName: "m2", UID: "a"}, {ClusterName: "m1", UID: "a"}},
		},
		"OrphanTooLate": {
			reason:  "a recorded deletion stays what it was recorded as",
			old:     with(decision("a"), work.Tombstone{ClusterName: "m1", UID: "a"}),
			updated: with(decision("a"), work.Tombstone{ClusterName: "m1", UID: "a", Orphan: true}),
			want:    []work.Tombstone{{ClusterName: "m1", UID: "a"}},
		},
		"BeingEvicted": {
			reason: "a member that is being evicted still runs the template",
			old:    decision("a", "m1", "m2"),
			updated: func() work.BindingSpec {
				spec := decision("a", "m2")
				spec.GracefulEvictionTasks = []work.GracefulEvictionTask{{FromCluster: "m1"}}
				return spec
			}(),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := nextTombstones(change{updated: &tc.updated, old: &tc.old, orphaned: tc.orphaned})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: nextTombstones, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestTombstonesOfAMoveBackAndForth has the same template leave the same member
// twice: the second tombstone is another one than the first.
func TestTombstonesOfAMoveBackAndForth(t *testing.T) {
	strategy := newStrategy(runtime.NewScheme(), true, clock.RealClock{})
	now := &work.ResourceBinding{Spec: decision("a", "m1", "m2")}
	now.Generation = 1
	move := func(members ...string) []work.Tombstone {
		next := now.DeepCopy()
		next.Spec.Clusters = decision("a", members...).Clusters
		strategy.PrepareForUpdate(t.Context(), next, now)
		now = next
		return now.Spec.Tombstones
	}
	for _, step := range []struct {
		reason  string
		members []string
		want    []work.Tombstone
	}{
		{"it names the generation that made it", []string{"m2"}, []work.Tombstone{{ClusterName: "m1", UID: "a", Generation: 2}}},
		{"it keeps that through other decisions", []string{"m2", "m3"}, []work.Tombstone{{ClusterName: "m1", UID: "a", Generation: 2}}},
		{"it is taken back", []string{"m1", "m2", "m3"}, nil},
		{"it is another one", []string{"m2", "m3"}, []work.Tombstone{{ClusterName: "m1", UID: "a", Generation: 5}}},
	} {
		if diff := cmp.Diff(step.want, move(step.members...)); diff != "" {
			t.Errorf("%s: tombstones, -want +got:\n%s", step.reason, diff)
		}
	}
}

func TestOrphanedTemplateIsRemembered(t *testing.T) {
	strategy := newStrategy(runtime.NewScheme(), true, clock.RealClock{})
	old := &work.ResourceBinding{Spec: decision("a", "m1")}
	old.Annotations = map[string]string{wellknown.AnnotationOrphanedTemplate: "a"}
	updated := old.DeepCopy()
	updated.Annotations = nil
	updated.Spec.Clusters = nil
	strategy.PrepareForUpdate(t.Context(), updated, old)
	if !isOrphaned(updated) {
		t.Error("a writer that drops the annotation must not turn a release into a deletion")
	}
	want := []work.Tombstone{{ClusterName: "m1", UID: "a", Orphan: true, Generation: 1}}
	if diff := cmp.Diff(want, updated.Spec.Tombstones); diff != "" {
		t.Errorf("the wish counts in the write that empties the binding, -want +got:\n%s", diff)
	}
	another := updated.DeepCopy()
	another.Annotations = nil
	another.Spec.Resource.UID = "b"
	strategy.PrepareForUpdate(t.Context(), another, updated)
	if isOrphaned(another) || len(another.Annotations) > 0 {
		t.Errorf("the wish is about one template, not about the name; annotations: %v", another.Annotations)
	}
}

func TestFeedbackStrategy(t *testing.T) {
	old := &work.ResourceBinding{Spec: with(decision("a", "m3"),
		work.Tombstone{ClusterName: "m1", UID: "a"}, work.Tombstone{ClusterName: "m2", UID: "a"})}
	old.Generation = 4
	updated := old.DeepCopy()
	updated.Labels = map[string]string{"not": "mine"}
	updated.Spec.Clusters = nil
	updated.Spec.Tombstones = []work.Tombstone{{ClusterName: "m2", UID: "a"}, {ClusterName: "m9", UID: "a"}}
	updated.Status.AggregatedStatus = []work.AggregatedStatusItem{{ClusterName: "m3", Applied: true}}

	strategy := newFeedbackStrategy(newStrategy(runtime.NewScheme(), true, clock.RealClock{}))
	strategy.PrepareForUpdate(t.Context(), updated, old)

	want := old.DeepCopy()
	want.Spec.Tombstones = []work.Tombstone{{ClusterName: "m2", UID: "a"}}
	want.Status.AggregatedStatus = []work.AggregatedStatusItem{{ClusterName: "m3", Applied: true}}
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Errorf("feedback may write the status and take confirmed tombstones away, nothing else, not even the generation, -want +got:\n%s", diff)
	}
}

func TestStatusStrategyKeepsSpec(t *testing.T) {
	old := &work.ResourceBinding{Spec: with(decision("a", "m3"), work.Tombstone{ClusterName: "m1", UID: "a"})}
	updated := old.DeepCopy()
	updated.Spec.Tombstones = nil
	updated.Spec.PreserveResourcesOnDeletion = new(true)
	newStatusStrategy(newStrategy(runtime.NewScheme(), true, clock.RealClock{})).PrepareForUpdate(t.Context(), updated, old)
	if diff := cmp.Diff(old, updated); diff != "" {
		t.Errorf("a status write changed more than the status, -want +got:\n%s", diff)
	}
}

func TestRefuseUnlessEmpty(t *testing.T) {
	tests := map[string]struct {
		reason string
		spec   work.BindingSpec
		want   string
	}{
		"Empty": {
			reason: "it stands for nothing",
			spec:   decision("a"),
		},
		"Placed": {
			reason: "deleting the record would lose what runs in members",
			spec:   decision("a", "m1"),
			want:   "delete the Deployment instead",
		},
		"Tombstones": {
			reason: "a member has not confirmed yet",
			spec:   with(decision("a"), work.Tombstone{ClusterName: "m1", UID: "a"}),
			want:   "still being removed from m1",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := refuseUnlessEmpty("resourcebindings", &work.ResourceBinding{Spec: tc.spec})
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("%s: want no error, got %v", tc.reason, err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%s: want an error containing %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

func TestTombstoneStrategy(t *testing.T) {
	old := &work.ResourceBinding{Spec: with(decision("a", "m3"),
		work.Tombstone{ClusterName: "m1", UID: "a"}, work.Tombstone{ClusterName: "m1", UID: "b"}, work.Tombstone{ClusterName: "m2", UID: "a"})}
	old.Generation = 4
	old.Status.AggregatedStatus = []work.AggregatedStatusItem{{ClusterName: "m1"}, {ClusterName: "m2"}, {ClusterName: "m3", Applied: true}}
	updated := old.DeepCopy()
	updated.Labels = map[string]string{"not": "mine"}
	updated.Spec.Clusters = nil
	updated.Spec.Tombstones = []work.Tombstone{{ClusterName: "m2", UID: "a"}, {ClusterName: "m9", UID: "a"}}
	updated.Status = work.BindingStatus{}

	strategy := newTombstoneStrategy(newStrategy(runtime.NewScheme(), true, clock.RealClock{}))
	strategy.PrepareForUpdate(t.Context(), updated, old)

	want := old.DeepCopy()
	want.Spec.Tombstones = []work.Tombstone{{ClusterName: "m2", UID: "a"}}
	want.Status.AggregatedStatus = []work.AggregatedStatusItem{{ClusterName: "m2"}, {ClusterName: "m3", Applied: true}}
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Errorf("tombstones may be taken away, with what their members said last, and nothing else changes, -want +got:\n%s", diff)
	}
}
