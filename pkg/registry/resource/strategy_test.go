// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

var (
	_ Lifecycle = Strategy[*cluster.Cluster]{}
	_ Lifecycle = StatusStrategy[*cluster.Cluster]{}

	_ rest.RESTUpdateStrategy = StatusStrategy[*cluster.Cluster]{}
)

// strategy is one with every part.
func strategy() Strategy[*cluster.Cluster] {
	return Strategy[*cluster.Cluster]{
		GroupVersion: clusterv1alpha1.SchemeGroupVersion,
		Spec:         func(c *cluster.Cluster) any { return c.Spec },
		ResetStatus: func(c, old *cluster.Cluster) {
			c.Status = cluster.ClusterStatus{}
			if old != nil {
				c.Status = old.Status
			}
		},
		Prepare: func(c, _ *cluster.Cluster) {
			if c.Spec.Region == "EU" {
				c.Spec.Region = "eu"
			}
		},
		Check:       func(*cluster.Cluster) field.ErrorList { return nil },
		CheckUpdate: func(_, _ *cluster.Cluster) field.ErrorList { return nil },
		Warn:        func(c *cluster.Cluster) []string { return []string{"region " + c.Spec.Region} },
	}
}

func statusStrategy() StatusStrategy[*cluster.Cluster] {
	return StatusStrategy[*cluster.Cluster]{
		Strategy:    strategy(),
		KeepSpec:    func(c, old *cluster.Cluster) { c.Spec = old.Spec },
		CheckStatus: func(_, _ *cluster.Cluster) field.ErrorList { return nil },
	}
}

func stored(change func(*cluster.Cluster)) *cluster.Cluster {
	c := &cluster.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "m1", Generation: 7, Labels: map[string]string{"tier": "gold"}, Finalizers: []string{"fleet.dev/x"}},
		Spec:       cluster.ClusterSpec{SyncMode: cluster.Push, Region: "eu"},
		Status:     cluster.ClusterStatus{KubernetesVersion: "v1.36.3"},
	}
	if change != nil {
		change(c)
	}
	return c
}

func TestPrepareForCreate(t *testing.T) {
	created := stored(func(c *cluster.Cluster) { c.Spec.Region = "EU" })
	strategy().PrepareForCreate(t.Context(), created)
	want := stored(func(c *cluster.Cluster) {
		c.Generation = 1
		c.Status = cluster.ClusterStatus{}
	})
	if diff := cmp.Diff(want, created); diff != "" {
		t.Errorf("a new object has generation 1, no status and what Prepare makes of it, -want +got:\n%s", diff)
	}
}

func TestPrepareForUpdate(t *testing.T) {
	tests := map[string]struct {
		reason string
		update func(*cluster.Cluster)
		want   func(*cluster.Cluster)
	}{
		"SpecChanged": {
			reason: "a change of the spec is a new generation",
			update: func(c *cluster.Cluster) { c.Spec.Provider = "p"; c.Generation = 99 },
			want:   func(c *cluster.Cluster) { c.Spec.Provider = "p"; c.Generation = 8 },
		},
		"OnlyMetadataChanged": {
			reason: "labels make no generation",
			update: func(c *cluster.Cluster) { c.Labels = map[string]string{"tier": "lead"} },
			want:   func(c *cluster.Cluster) { c.Labels = map[string]string{"tier": "lead"} },
		},
		"StatusChanged": {
			reason: "the status is written through its subresource only",
			update: func(c *cluster.Cluster) { c.Status.KubernetesVersion = "v0" },
		},
		"ChangeUndoneByPrepare": {
			reason: "what the server makes of the spec counts, not what was sent",
			update: func(c *cluster.Cluster) { c.Spec.Region = "EU" },
		},
		"EmptyForNil": {
			reason: "an empty list says the same as none",
			update: func(c *cluster.Cluster) { c.Spec.Zones = []string{} },
			want:   func(c *cluster.Cluster) { c.Spec.Zones = []string{} },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			updated := stored(tc.update)
			strategy().PrepareForUpdate(t.Context(), updated, stored(nil))
			if diff := cmp.Diff(stored(tc.want), updated); diff != "" {
				t.Errorf("%s: PrepareForUpdate, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestStatusPrepareForUpdate(t *testing.T) {
	updated := stored(func(c *cluster.Cluster) {
		c.Spec.Region = "us"
		c.Generation = 1
		c.Labels, c.Finalizers = nil, nil
		c.Annotations = map[string]string{"not": "mine"}
		c.OwnerReferences = []metav1.OwnerReference{{Name: "not-mine"}}
		c.Status.KubernetesVersion = "v1.37.0"
		c.ResourceVersion = "12"
	})
	statusStrategy().PrepareForUpdate(t.Context(), updated, stored(nil))
	want := stored(func(c *cluster.Cluster) {
		c.Status.KubernetesVersion = "v1.37.0"
		c.ResourceVersion = "12"
	})
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Errorf("only the status changes, and the precondition stays the request's, -want +got:\n%s", diff)
	}
}

func TestWarnings(t *testing.T) {
	changed := stored(func(c *cluster.Cluster) { c.Spec.Region = "us" })
	relabelled := stored(func(c *cluster.Cluster) { c.Labels = nil })
	withoutWarn := strategy()
	withoutWarn.Warn = nil
	tests := map[string]struct {
		reason string
		got    []string
		want   []string
	}{
		"Create":         {reason: "the writer can still mend it", got: strategy().WarningsOnCreate(t.Context(), changed), want: []string{"region us"}},
		"Update":         {reason: "so can who changes the spec", got: strategy().WarningsOnUpdate(t.Context(), changed, stored(nil)), want: []string{"region us"}},
		"Labels":         {reason: "who changes labels did not write the spec", got: strategy().WarningsOnUpdate(t.Context(), relabelled, stored(nil))},
		"Status":         {reason: "who writes the status did not write the spec", got: statusStrategy().WarningsOnUpdate(t.Context(), changed, stored(nil))},
		"NoWarnOnCreate": {reason: "Warn may be nil", got: withoutWarn.WarningsOnCreate(t.Context(), changed)},
		"NoWarnOnUpdate": {reason: "Warn may be nil", got: withoutWarn.WarningsOnUpdate(t.Context(), changed, stored(nil))},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.got); diff != "" {
				t.Errorf("%s: warnings, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestGetResetFields(t *testing.T) {
	withoutStatus := strategy()
	withoutStatus.ResetStatus = nil
	tests := map[string]struct {
		reason string
		got    map[fieldpath.APIVersion]*fieldpath.Set
		want   []string
	}{
		"Main":          {reason: "an applied status has no effect, so it has no owner", got: strategy().GetResetFields(), want: []string{"status"}},
		"WithoutStatus": {reason: "everything is the writer's", got: withoutStatus.GetResetFields()},
		"Status":        {reason: "an applied spec has no effect on the subresource", got: statusStrategy().GetResetFields(), want: []string{"metadata", "spec"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			if set := tc.got[fieldpath.APIVersion("cluster.fleet.dev/v1alpha1")]; set != nil {
				set.Iterate(func(path fieldpath.Path) { got = append(got, path.String()[1:]) })
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: GetResetFields, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
