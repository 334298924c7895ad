// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/policy"
	"fleet.dev/fleet/pkg/apis/work"
)

func newBinding(change func(*work.ResourceBinding)) *work.ResourceBinding {
	b := &work.ResourceBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "web-deployment", Namespace: "shop", ResourceVersion: "1"},
		Spec: work.BindingSpec{
			Resource:           work.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "u"},
			SchedulerName:      "default-scheduler",
			ConflictResolution: policy.ConflictIfNoDiff,
			Clusters:           []work.TargetCluster{{Name: "east", Replicas: 1}},
			Tombstones:         []work.Tombstone{{ClusterName: "east", UID: "before"}},
		},
	}
	change(b)
	return b
}

func TestValidateBinding(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*work.ResourceBinding)
		want   []string
	}{
		"Valid": {
			reason: "a member may run the new object while the old one is deleted",
			change: func(*work.ResourceBinding) {},
		},
		"Resource": {
			reason: "a template is named in full, and is in the namespace of the binding",
			change: func(b *work.ResourceBinding) {
				b.Spec.Resource = work.ObjectReference{APIVersion: "apps/v1", Namespace: "other", Name: "web"}
			},
			want: []string{
				"FieldValueRequired spec.resource.kind",
				"FieldValueRequired spec.resource.uid",
				"FieldValueInvalid spec.resource.namespace",
			},
		},
		"ClusterTwice": {
			reason: "a member has one number of replicas",
			change: func(b *work.ResourceBinding) {
				b.Spec.Clusters = []work.TargetCluster{{Name: "east"}, {Name: "east", Replicas: -1}}
			},
			want: []string{"FieldValueInvalid spec.clusters[1].replicas", "FieldValueDuplicate spec.clusters[1].name"},
		},
		"TombstoneWithoutUID": {
			reason: "a deletion names the object it is about",
			change: func(b *work.ResourceBinding) { b.Spec.Tombstones = []work.Tombstone{{ClusterName: "east"}} },
			want:   []string{"FieldValueRequired spec.tombstones[0].uid"},
		},
		"Override": {
			reason: "an override is from a policy and changes something",
			change: func(b *work.ResourceBinding) { b.Spec.Overrides = []work.ResolvedOverride{{}} },
			want:   []string{"FieldValueRequired spec.overrides[0].policy.name", "FieldValueRequired spec.overrides[0].overriders"},
		},
		"Versions": {
			reason: "a member gets a template in one version, of its own group",
			change: func(b *work.ResourceBinding) {
				b.Spec.Versions = []work.MemberVersion{
					{APIVersion: "apps/v1beta1", Clusters: []string{"east"}},
					{APIVersion: "batch/v1", Clusters: []string{"east"}},
					{APIVersion: "apps/v1beta2"},
				}
			},
			want: []string{"FieldValueInvalid spec.versions[1].apiVersion", "FieldValueRequired spec.versions[2].clusters", "FieldValueDuplicate spec.versions[1]"},
		},
		"Eviction": {
			reason: "who evicted, and why, is on record",
			change: func(b *work.ResourceBinding) {
				b.Spec.GracefulEvictionTasks = []work.GracefulEvictionTask{{FromCluster: "east"}}
			},
			want: []string{"FieldValueRequired spec.gracefulEvictionTasks[0].reason", "FieldValueRequired spec.gracefulEvictionTasks[0].producer"},
		},
		"Replicas": {
			reason: "less than none is a mistake",
			change: func(b *work.ResourceBinding) { b.Spec.Replicas = -1 },
			want:   []string{"FieldValueInvalid spec.replicas"},
		},
		"ReplicaRevision": {
			reason: "an expression has a limit wherever it is",
			change: func(b *work.ResourceBinding) { b.Spec.ReplicaRevision = strings.Repeat("a", 10241) },
			want:   []string{"FieldValueTooLong spec.replicaRevision"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, summary(ValidateBinding(newBinding(tc.change)))); diff != "" {
				t.Errorf("\n%s\nValidateBinding(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateBindingUpdate(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*work.ObjectReference)
		want   []string
	}{
		"Version": {reason: "the same template is served in another version", change: func(r *work.ObjectReference) { r.APIVersion = "apps/v2" }},
		"UID":     {reason: "the template was created anew", change: func(r *work.ObjectReference) { r.UID = "v" }},
		"Group": {
			reason: "another group is another template",
			change: func(r *work.ObjectReference) { r.APIVersion = "v1" },
			want:   []string{"FieldValueInvalid spec.resource.apiVersion"},
		},
		"Name": {
			reason: "another name is another template",
			change: func(r *work.ObjectReference) { r.Name = "other" },
			want:   []string{"FieldValueInvalid spec.resource.name"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			changed := newBinding(func(b *work.ResourceBinding) { tc.change(&b.Spec.Resource) })
			got := ValidateBindingUpdate(changed, newBinding(func(*work.ResourceBinding) {}))
			if diff := cmp.Diff(tc.want, summary(got)); diff != "" {
				t.Errorf("\n%s\nValidateBindingUpdate(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateBindingStatusUpdate(t *testing.T) {
	changed := newBinding(func(b *work.ResourceBinding) {
		b.Status.AggregatedStatus = []work.AggregatedStatusItem{{ClusterName: "east", Health: "Fine"}, {ClusterName: "east", Unschedulable: &work.UnschedulablePods{Count: 1}}}
	})
	got := ValidateBindingStatusUpdate(changed, newBinding(func(*work.ResourceBinding) {}))
	want := []string{
		"FieldValueNotSupported status.aggregatedStatus[0].health", "FieldValueRequired status.aggregatedStatus[1].unschedulable.since",
		"FieldValueDuplicate status.aggregatedStatus[1].clusterName",
	}
	if diff := cmp.Diff(want, summary(got)); diff != "" {
		t.Errorf("a member reports once, in known words: -want, +got:\n%s", diff)
	}
}

func TestValidateWorkFeedback(t *testing.T) {
	cases := map[string]struct {
		reason   string
		feedback work.WorkFeedback
		want     []string
	}{
		"Valid": {
			reason:   "nothing to report is fine",
			feedback: work.WorkFeedback{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-east"}},
		},
		"Namespace": {
			reason:   "feedback comes from a member",
			feedback: work.WorkFeedback{ObjectMeta: metav1.ObjectMeta{Namespace: "default"}},
			want:     []string{"FieldValueInvalid metadata.namespace"},
		},
		"Item": {
			reason: "an item names the work and the template",
			feedback: work.WorkFeedback{
				ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-east"},
				Spec:       work.WorkFeedbackSpec{Items: []work.FeedbackItem{{AppliedMessage: strings.Repeat("a", maxAppliedMessage+1)}}},
			},
			want: []string{
				"FieldValueRequired spec.items[0].name",
				"FieldValueRequired spec.items[0].templateUID",
				"FieldValueTooLong spec.items[0].appliedMessage",
			},
		},
		"Unschedulable": {
			reason: "no Pods are no report",
			feedback: work.WorkFeedback{
				ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-east"},
				Spec:       work.WorkFeedbackSpec{Items: []work.FeedbackItem{{Name: "a", TemplateUID: "1", Unschedulable: &work.UnschedulablePods{}}}},
			},
			want: []string{"FieldValueInvalid spec.items[0].unschedulable.count", "FieldValueRequired spec.items[0].unschedulable.since"},
		},
		"TooMany": {
			reason: "one request does not occupy the server for long",
			feedback: work.WorkFeedback{
				ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-east"},
				Spec:       work.WorkFeedbackSpec{Items: make([]work.FeedbackItem, maxFeedbackItems+1)},
			},
			want: []string{"FieldValueTooMany spec.items"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, summary(ValidateWorkFeedback(&tc.feedback))); diff != "" {
				t.Errorf("\n%s\nValidateWorkFeedback(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateWorkStatusUpdate(t *testing.T) {
	w := &work.Work{Status: work.WorkStatus{ManifestStatuses: []work.ManifestStatus{{Health: "Fine"}, {}}}}
	want := []string{"FieldValueTooMany status.manifestStatuses", "FieldValueNotSupported status.manifestStatuses[0].health"}
	if diff := cmp.Diff(want, summary(ValidateWorkStatusUpdate(w))); diff != "" {
		t.Errorf("a work has one manifest: -want, +got:\n%s", diff)
	}
}

func summary(errs field.ErrorList) []string {
	var lines []string
	for _, err := range errs {
		lines = append(lines, string(err.Type)+" "+err.Field)
	}
	return lines
}
