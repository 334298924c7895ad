// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package framework

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func TestFitError(t *testing.T) {
	refused := func(name, message string) workv1alpha1.ClusterReason {
		return workv1alpha1.ClusterReason{ClusterName: name, Message: message}
	}
	cases := map[string]struct {
		reason    string
		diagnosis Diagnosis
		want      string
	}{
		"Counted": {
			reason:    "Equal causes are counted.",
			diagnosis: Diagnosis{Members: 3, Reasons: []workv1alpha1.ClusterReason{refused("a", "were not ready"), refused("b", "had untolerated taint {k: }"), refused("c", "were not ready")}},
			want:      "0/3 clusters are available: 1 had untolerated taint {k: }, 2 were not ready",
		},
		"Noted": {
			reason:    "A cause about no member in particular follows.",
			diagnosis: Diagnosis{Members: 2, Feasible: 2, Note: "not enough capacity for 5 more replicas"},
			want:      "2/2 clusters are available: not enough capacity for 5 more replicas",
		},
		"NoMembers": {reason: "Without members there is nothing to count.", want: "0/0 clusters are available"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, (&FitError{Diagnosis: tc.diagnosis}).Error()); diff != "" {
				t.Errorf("\n%s\nError(): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNewChange(t *testing.T) {
	base := func(change func(*clusterv1alpha1.Cluster)) *clusterv1alpha1.Cluster {
		c := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1"}}
		c.Status.Conditions = []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: metav1.ConditionFalse}}
		if change != nil {
			change(c)
		}
		return c
	}
	cases := map[string]struct {
		reason string
		change func(*clusterv1alpha1.Cluster)
		want   Event
	}{
		"Nothing":   {reason: "An equal report is no event."},
		"Ready":     {reason: "It became ready.", change: func(c *clusterv1alpha1.Cluster) { c.Status.Conditions[0].Status = metav1.ConditionTrue }, want: MemberReady},
		"Labels":    {reason: "Labels changed.", change: func(c *clusterv1alpha1.Cluster) { c.Labels = map[string]string{"a": "b"} }, want: MemberLabels | MemberSelection},
		"Region":    {reason: "What policies select by counts as a label.", change: func(c *clusterv1alpha1.Cluster) { c.Spec.Region = "eu" }, want: MemberLabels | MemberSelection},
		"Observed":  {reason: "So does what its nodes say, where nobody said more.", change: func(c *clusterv1alpha1.Cluster) { c.Status.Zones = []string{"eu-1"} }, want: MemberLabels | MemberSelection},
		"Taints":    {reason: "Taints changed.", change: func(c *clusterv1alpha1.Cluster) { c.Spec.Taints = []corev1.Taint{{Key: "k"}} }, want: MemberTaints | MemberSelection},
		"Leaving":   {reason: "It is being unjoined.", change: func(c *clusterv1alpha1.Cluster) { c.DeletionTimestamp = &metav1.Time{Time: metav1.Now().Time} }, want: MemberLeaving},
		"Version":   {reason: "So does the version.", change: func(c *clusterv1alpha1.Cluster) { c.Status.KubernetesVersion = "v1.36.3" }, want: MemberLabels | MemberSelection},
		"Heartbeat": {reason: "Other parts of a report are no event.", change: func(c *clusterv1alpha1.Cluster) { c.Status.NodeSummary = &clusterv1alpha1.NodeSummary{TotalNum: 3} }},
		"APIs": {reason: "It serves something else.", change: func(c *clusterv1alpha1.Cluster) {
			c.Status.APIEnablements = []clusterv1alpha1.APIEnablement{{GroupVersion: "v1", Resources: []clusterv1alpha1.APIResource{{Name: "pods", Kind: "Pod"}}}}
		}, want: MemberAPIs},
		"Capacity": {reason: "More is free.", change: func(c *clusterv1alpha1.Cluster) {
			c.Status.Capacity = &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{{Name: "a"}}}
		}, want: MemberCapacity},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pool := &APIPool{}
			got := NewChange(NewMember(base(nil), pool), NewMember(base(tc.change), pool)).Events
			if got != tc.want {
				t.Errorf("\n%s\nNewChange(...).Events: want %b, got %b", tc.reason, tc.want, got)
			}
		})
	}
	waiting := base(func(c *clusterv1alpha1.Cluster) { c.Spec.SyncMode = clusterv1alpha1.Pull })
	accepted := base(func(c *clusterv1alpha1.Cluster) { c.Spec.SyncMode, c.Spec.Accepted = clusterv1alpha1.Pull, true })
	if got := NewChange(NewMember(waiting, &APIPool{}), NewMember(accepted, &APIPool{})).Events; !got.Has(MemberAccepted) {
		t.Errorf("\nAn administrator consented to the member.\nNewChange(...).Events: want %b, got %b", MemberAccepted, got)
	}
	member := NewMember(base(nil), &APIPool{})
	if NewChange(nil, member).Events != MemberAdded || NewChange(member, nil).Events != MemberLeaving || NewChange(nil, nil).Events != 0 {
		t.Error("NewChange(...) of a member that comes, goes, or was never there")
	}
}

// TestInherit: a heartbeat makes no other member as far as policies can tell, so
// that what expressions said about it is known still.
func TestInherit(t *testing.T) {
	of := func(version, env string) *Member {
		c := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1", ResourceVersion: version, Labels: map[string]string{"env": env}}}
		c.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: version}}
		return NewMember(c, &APIPool{})
	}
	before := of("1", "prod")
	same, other := of("2", "prod"), of("2", "dev")
	same.Inherit(before)
	other.Inherit(before)
	if same.Cluster != before.Cluster || same.verdicts != before.verdicts {
		t.Error("an equal member is not the same as before")
	}
	if other.Cluster == before.Cluster || other.verdicts == before.verdicts {
		t.Error("a member that changed is the same as before")
	}
}

func TestGained(t *testing.T) {
	serving := func(versions ...string) *Member {
		c := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1"}}
		for _, version := range versions {
			c.Status.APIEnablements = append(c.Status.APIEnablements, clusterv1alpha1.APIEnablement{
				GroupVersion: version, Resources: []clusterv1alpha1.APIResource{{Name: "widgets", Kind: "Widget"}},
			})
		}
		return NewMember(c, &APIPool{})
	}
	cases := map[string]struct {
		reason        string
		before, after *Member
		want          bool
	}{
		"First":      {reason: "What was not reported before is gained.", before: serving(), after: serving("example.com/v1"), want: true},
		"NewVersion": {reason: "A template is of one version.", before: serving("example.com/v1"), after: serving("example.com/v1", "example.com/v2"), want: true},
		"Other":      {reason: "Another kind is not this one.", before: serving("example.com/v1"), after: serving("example.com/v1", "example.org/v1")},
		"Lost":       {reason: "A kind that went is not gained.", before: serving("example.com/v1"), after: serving()},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			change := NewChange(tc.before, tc.after)
			if got := change.Gained(schema.GroupKind{Group: "example.com", Kind: "Widget"}); got != tc.want || change.Events != MemberAPIs {
				t.Errorf("\n%s\nGained(...): want %v, got %v; events %b", tc.reason, tc.want, got, change.Events)
			}
		})
	}
}

// TestAPIPoolIsBounded keeps members with ever new APIs from filling memory.
func TestAPIPoolIsBounded(t *testing.T) {
	pool := &APIPool{}
	for i := range 3 * maxPooled {
		c := &clusterv1alpha1.Cluster{}
		c.Status.APIEnablements = []clusterv1alpha1.APIEnablement{{GroupVersion: "v1", Resources: []clusterv1alpha1.APIResource{{Kind: string(rune('a' + i))}}}}
		if !pool.get(c).Known() {
			t.Fatal("the set of a member with APIs is empty")
		}
	}
	if len(pool.pooled) > maxPooled {
		t.Errorf("pooled sets: want at most %d, got %d", maxPooled, len(pool.pooled))
	}
}
