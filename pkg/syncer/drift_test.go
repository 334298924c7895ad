// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func TestDrift(t *testing.T) {
	long := strings.Repeat("x", 1000)
	cases := map[string]struct {
		reason string
		edit   func(*unstructured.Unstructured)
		secret bool
		want   []workv1alpha1.FieldDrift
	}{
		"Replaced": {
			reason: "a plain field",
			edit:   func(o *unstructured.Unstructured) { put(t, o, int64(5), "spec", "replicas") },
			want:   []workv1alpha1.FieldDrift{{Op: "replace", Path: ".spec.replicas", Value: "3", Observed: "5"}},
		},
		"InAList": {
			reason: "an item of a list, by its key",
			edit:   container(func(c map[string]any) { c["image"] = "httpd" }),
			want: []workv1alpha1.FieldDrift{{
				Op: "replace", Path: `.spec.template.spec.containers[name="web"].image`, Value: `"nginx"`, Observed: `"httpd"`,
			}},
		},
		"Missing": {
			reason: "somebody took it away",
			edit:   func(o *unstructured.Unstructured) { unstructured.RemoveNestedField(o.Object, "spec", "replicas") },
			want:   []workv1alpha1.FieldDrift{{Op: "add", Path: ".spec.replicas", Value: "3"}},
		},
		"Long": {
			reason: "a report has a limit",
			edit:   container(func(c map[string]any) { c["image"] = long }),
			want: []workv1alpha1.FieldDrift{{
				Op: "replace", Path: `.spec.template.spec.containers[name="web"].image`, Value: `"nginx"`, Observed: `"` + long[:maxDriftValue-1],
			}},
		},
		"Secret": {
			reason: "who sees the report may not see the value",
			edit:   func(o *unstructured.Unstructured) { put(t, o, int64(5), "spec", "replicas") },
			secret: true,
			want:   []workv1alpha1.FieldDrift{{Op: "replace", Path: ".spec.replicas", Value: hidden, Observed: hidden}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			desired := manifest(t, webDeployment)
			diff, err := compare(schemaOfApps(t), desired, asApplied(t, desired, tc.edit))
			if err != nil {
				t.Fatal(err)
			}
			if got := cmp.Diff(tc.want, diff.drift(tc.secret)); got != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, got)
			}
		})
	}
}

func TestDriftIsBounded(t *testing.T) {
	desired := manifest(t, webDeployment)
	labels := map[string]any{"app": "web", "fleet.dev/managed-by": "fleet-1"}
	for i := range 3 * maxDrift {
		labels[fmt.Sprintf("l%d", i)] = "x"
	}
	put(t, desired, labels, "metadata", "labels")
	diff, err := compare(schemaOfApps(t), desired, asApplied(t, desired, func(o *unstructured.Unstructured) { o.SetLabels(nil) }))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(diff.drift(false)); got != maxDrift {
		t.Errorf("want the first %d fields, got %d", maxDrift, got)
	}
}

func TestIsSecret(t *testing.T) {
	for kind, want := range map[schema.GroupVersionKind]bool{
		{Version: "v1", Kind: "Secret"}:                       true,
		{Version: "v1", Kind: "ConfigMap"}:                    false,
		{Group: "example.com", Version: "v1", Kind: "Secret"}: false,
	} {
		if got := isSecret(target{kind: kind}); got != want {
			t.Errorf("isSecret(%s): want %t, got %t", kind, want, got)
		}
	}
}

// Somebody who keeps undoing a field is not fought at full speed, and what differs
// is reported.
func TestDisputeIsReported(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	for range freeCorrections + 1 {
		r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { put(t, o, "theirs", "data", "greeting") })
		r.settle()
	}
	want := []workv1alpha1.FieldDrift{{Op: "replace", Path: ".data.greeting", Value: `"hello"`, Observed: `"theirs"`}}
	item := r.await("settings", "drifted", func(i workv1alpha1.FeedbackItem) bool { return len(i.Drift) > 0 })
	if diff := cmp.Diff(want, item.Drift); diff != "" || item.AppliedReason != workv1alpha1.AppliedReasonConflict {
		t.Errorf("what is fought over: %s: -want +got:\n%s", item.AppliedReason, diff)
	}
	r.await("settings", "corrected in the end", func(i workv1alpha1.FeedbackItem) bool { return i.Applied && len(i.Drift) == 0 })
}

// While a work is suspended nothing is put right, and what differs is reported.
func TestSuspendedDrift(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold := true
	suspended := func(w *workv1alpha1.Work) { w.Spec.SuspendDispatching = &hold }
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.want("settings", settings, suspended)
	r.await("settings", "suspended", func(i workv1alpha1.FeedbackItem) bool { return i.AppliedReason == workv1alpha1.AppliedReasonSuspended })
	r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { put(t, o, "theirs", "data", "greeting") })
	want := []workv1alpha1.FieldDrift{{Op: "replace", Path: ".data.greeting", Value: `"hello"`, Observed: `"theirs"`}}
	item := r.await("settings", "drifted", func(i workv1alpha1.FeedbackItem) bool { return len(i.Drift) > 0 })
	if diff := cmp.Diff(want, item.Drift); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r.want("settings", settings)
	r.await("settings", "put right when it goes on", func(i workv1alpha1.FeedbackItem) bool { return i.Applied && len(i.Drift) == 0 })
}
