// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package strategy

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
)

func inEnv(env string) policyv1alpha1.ClusterAffinity {
	return policyv1alpha1.ClusterAffinity{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": env}}}
}

func member(change func(*clusterv1alpha1.Cluster)) *framework.Member {
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "m1", Labels: map[string]string{"env": "prod"}}}
	if change != nil {
		change(cluster)
	}
	return framework.NewMember(cluster, &framework.APIPool{})
}

func TestConcerned(t *testing.T) {
	prod := inEnv("prod")
	selecting := policyv1alpha1.Placement{ClusterAffinity: &prod}
	overflowing := policyv1alpha1.Placement{ClusterAffinities: []policyv1alpha1.ClusterAffinityTerm{
		{ClusterAffinity: inEnv("test"), OverflowAffinities: []policyv1alpha1.ClusterAffinity{prod}},
	}}
	weighing := policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
		WeightPreference: &policyv1alpha1.ClusterPreferences{StaticWeightList: []policyv1alpha1.StaticClusterWeight{{TargetCluster: prod, Weight: 3}}},
	}}
	tolerating := policyv1alpha1.Placement{ClusterTolerations: []corev1.Toleration{{Key: "quiet", Operator: corev1.TolerationOpExists}}}
	spreading := func(constraint policyv1alpha1.SpreadConstraint) policyv1alpha1.Placement {
		return policyv1alpha1.Placement{SpreadConstraints: []policyv1alpha1.SpreadConstraint{constraint}}
	}
	with := func(key, value string) *framework.Member {
		return member(func(c *clusterv1alpha1.Cluster) { c.Labels[key] = value })
	}
	region := member(func(c *clusterv1alpha1.Cluster) { c.Spec.Region = "eu" })
	taint := func(key, value string) *framework.Member {
		return member(func(c *clusterv1alpha1.Cluster) {
			c.Spec.Taints = []corev1.Taint{{Key: key, Value: value, Effect: corev1.TaintEffectNoSchedule}}
		})
	}
	plain := member(nil)
	cases := map[string]struct {
		reason        string
		placement     policyv1alpha1.Placement
		event         framework.Event
		before, after *framework.Member
		want          bool
	}{
		"Comes":         {reason: "A member that is selected comes.", placement: selecting, event: framework.MemberAdded, after: plain, want: true},
		"OtherComes":    {reason: "One that is not.", placement: selecting, event: framework.MemberAdded, after: with("env", "dev")},
		"Goes":          {reason: "A member that was selected goes.", placement: selecting, event: framework.MemberLeaving, before: plain, want: true},
		"OtherGoes":     {reason: "One that was not.", placement: selecting, event: framework.MemberLeaving, before: with("env", "dev")},
		"Ready":         {reason: "What happens to a selected member matters.", placement: selecting, event: framework.MemberReady, before: plain, after: plain, want: true},
		"WasSelected":   {reason: "Also when it is not selected any more.", placement: selecting, event: framework.MemberReady, before: plain, after: with("env", "dev"), want: true},
		"OtherReady":    {reason: "To others it does not.", placement: selecting, event: framework.MemberReady, before: with("env", "dev"), after: with("env", "dev")},
		"Overflow":      {reason: "Overflow selects too.", placement: overflowing, event: framework.MemberReady, before: plain, after: plain, want: true},
		"Selected":      {reason: "It is selected now.", placement: selecting, event: framework.MemberSelection, before: with("env", "dev"), after: plain, want: true},
		"Still":         {reason: "It is selected as before.", placement: selecting, event: framework.MemberSelection, before: plain, after: with("a", "b")},
		"OtherTier":     {reason: "It is of another tier.", placement: overflowing, event: framework.MemberSelection, before: plain, after: with("env", "test"), want: true},
		"Weight":        {reason: "It weighs less.", placement: weighing, event: framework.MemberSelection, before: plain, after: with("env", "dev"), want: true},
		"SameWeight":    {reason: "It weighs the same.", placement: weighing, event: framework.MemberSelection, before: plain, after: with("a", "b")},
		"Group":         {reason: "It is in another group.", placement: spreading(policyv1alpha1.SpreadConstraint{SpreadByLabel: "rack"}), event: framework.MemberSelection, before: plain, after: with("rack", ""), want: true},
		"SameGroup":     {reason: "Another label groups nothing.", placement: spreading(policyv1alpha1.SpreadConstraint{SpreadByLabel: "rack"}), event: framework.MemberSelection, before: plain, after: with("a", "b")},
		"Region":        {reason: "It moved.", placement: spreading(policyv1alpha1.SpreadConstraint{SpreadByField: policyv1alpha1.SpreadByFieldRegion}), event: framework.MemberSelection, before: plain, after: region, want: true},
		"TaintGone":     {reason: "What kept it off is gone.", event: framework.MemberTaints, before: taint("a", "b"), after: plain, want: true},
		"TaintChanged":  {reason: "Or is another value.", event: framework.MemberTaints, before: taint("a", "b"), after: taint("a", "c"), want: true},
		"TaintComes":    {reason: "A taint more lifts nothing.", event: framework.MemberTaints, before: plain, after: taint("a", "b")},
		"TaintAccepted": {reason: "What was tolerated kept nothing off.", placement: tolerating, event: framework.MemberTaints, before: taint("quiet", ""), after: plain},
		"TaintOfOther":  {reason: "The taint of a member that is not selected.", placement: only("test"), event: framework.MemberTaints, before: taint("a", "b"), after: plain},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			choice, err := Prepare(&tc.placement)
			if err != nil {
				t.Fatal(err)
			}
			change := framework.NewChange(tc.before, tc.after)
			if got := choice.Concerned(tc.event, change); got != tc.want {
				t.Errorf("\n%s\nConcerned(...): want %v, got %v", tc.reason, tc.want, got)
			}
		})
	}
}

func only(env string) policyv1alpha1.Placement {
	affinity := inEnv(env)
	return policyv1alpha1.Placement{ClusterAffinity: &affinity}
}

func TestSelective(t *testing.T) {
	prod := inEnv("prod")
	cases := map[string]struct {
		reason    string
		placement policyv1alpha1.Placement
		want      bool
	}{
		"Everywhere": {reason: "All members are the same.", placement: auto},
		"Affinity":   {reason: "Some are selected.", placement: policyv1alpha1.Placement{ClusterAffinity: &prod}, want: true},
		"Spread":     {reason: "They are grouped.", placement: policyv1alpha1.Placement{SpreadConstraints: []policyv1alpha1.SpreadConstraint{{SpreadByLabel: "rack"}}}, want: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			choice, err := Prepare(&tc.placement)
			if err != nil || choice.Selective() != tc.want {
				t.Errorf("\n%s\nSelective(): want %v, got %v, %v", tc.reason, tc.want, choice.Selective(), err)
			}
		})
	}
}

// TestNarrowIsShared: templates with the same hint wait together, and what users
// write into hints does not fill memory.
func TestNarrowIsShared(t *testing.T) {
	choice, err := Prepare(&auto)
	if err != nil {
		t.Fatal(err)
	}
	first, err := choice.narrow("env=prod")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := choice.narrow("env=prod"); err != nil || again != first {
		t.Errorf("the same hint: want the same choice, got %p and %p, %v", first, again, err)
	}
	if first.selects(label("dev")) || !first.selects(label("prod")) {
		t.Error("a hint that does not narrow")
	}
	for i := range 2 * maxNarrowed {
		if _, err := choice.narrow(fmt.Sprintf("env=e%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(choice.narrowed); got > maxNarrowed {
		t.Errorf("hints remembered: want at most %d, got %d", maxNarrowed, got)
	}
}

func label(env string) *framework.Member {
	return member(func(c *clusterv1alpha1.Cluster) { c.Labels["env"] = env })
}
