// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// witness notes what an Observer is told.
type witness []string

func (w *witness) Seen(cluster *clusterv1alpha1.Cluster) { *w = append(*w, "seen "+cluster.Name) }
func (w *witness) Deleted(cluster *clusterv1alpha1.Cluster) {
	*w = append(*w, "deleted "+cluster.Name)
}

func TestClusters(t *testing.T) {
	cluster := func(name, version string) *clusterv1alpha1.Cluster {
		return &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}}
	}
	var told witness
	var changed []string
	c := newClusters(fields.Everything(), &told, func(name string) { changed = append(changed, name) })
	for _, step := range []struct {
		reason  string
		do      func() error
		told    []string
		changed []string
	}{
		{"a list has them", func() error { return c.Replace([]any{cluster("a", "1"), cluster("b", "1")}, "1") }, []string{"seen a", "seen b"}, []string{"a", "b"}},
		{"a watch reports a change", func() error { return c.Update(cluster("a", "2")) }, []string{"seen a"}, []string{"a"}},
		{"a watch reports a deletion", func() error { return c.Delete(cluster("a", "3")) }, []string{"deleted a"}, []string{"a"}},
		{"a list that lacks one, as after a restore, reports no deletion, but ends the session", func() error { return c.Replace(nil, "4") }, nil, []string{"b"}},
	} {
		told, changed = nil, nil
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		sorted := cmp.Transformer("Sort", func(in []string) map[string]bool {
			out := map[string]bool{}
			for _, s := range in {
				out[s] = true
			}
			return out
		})
		if diff := cmp.Diff(step.told, []string(told), sorted); diff != "" {
			t.Errorf("%s: observer: -want +got:\n%s", step.reason, diff)
		}
		if diff := cmp.Diff(step.changed, changed, sorted); diff != "" {
			t.Errorf("%s: changed: -want +got:\n%s", step.reason, diff)
		}
	}
	if _, err := c.named("b"); !apierrors.IsNotFound(err) {
		t.Errorf("a Cluster that is gone is not found: %v", err)
	}
}
