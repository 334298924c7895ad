// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package spreadconstraint

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/affinity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/replicadivision"
	"fleet.dev/fleet/pkg/scheduler/template"
)

func TestSelect(t *testing.T) {
	candidate := func(name string, score int64) *framework.Candidate {
		cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
		return &framework.Candidate{Member: &framework.Member{Cluster: cluster}, Score: score}
	}
	candidates := []*framework.Candidate{candidate("a", 1), candidate("b", 5), candidate("c", 5)}
	clusters := func(least, most int32) []policyv1alpha1.SpreadConstraint {
		return []policyv1alpha1.SpreadConstraint{{SpreadByField: policyv1alpha1.SpreadByFieldCluster, MinGroups: least, MaxGroups: most}}
	}
	cases := map[string]struct {
		reason  string
		pick    framework.Pick
		spread  []policyv1alpha1.SpreadConstraint
		want    []string
		refused string
	}{
		"All":     {reason: "All that passed, best first, ties by name.", pick: framework.PickAll, want: []string{"b", "c", "a"}},
		"One":     {reason: "The best.", pick: framework.PickOne, want: []string{"b"}},
		"AtMost":  {reason: "No more than allowed.", pick: framework.PickAll, spread: clusters(1, 2), want: []string{"b", "c"}},
		"NoLimit": {reason: "Zero is no limit.", pick: framework.PickAll, spread: clusters(2, 0), want: []string{"b", "c", "a"}},
		"TooFew":  {reason: "Fewer than asked for is a refusal.", pick: framework.PickAll, spread: clusters(4, 0), refused: "spread constraints ask for at least 4 clusters"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := &framework.Request{Template: &template.Template{}, Strategy: framework.Strategy{Pick: tc.pick}, Spread: tc.spread}
			selected, status := SpreadConstraint{}.Select(t.Context(), request, candidates)
			var got []string
			for _, c := range selected {
				got = append(got, c.Name())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nSelect(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.refused, status.Message()); diff != "" || status.Err() != nil {
				t.Errorf("\n%s\nSelect(...): failed %v, -want, +got:\n%s", tc.reason, status.Err(), diff)
			}
		})
	}
}

func TestSelectTopology(t *testing.T) {
	member := func(name, region, provider string, score int64, room int32, zones ...string) *framework.Candidate {
		cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"rack": "rack-" + name[:1]}}}
		cluster.Spec = clusterv1alpha1.ClusterSpec{Region: region, Provider: provider, Zones: zones}
		return &framework.Candidate{Member: &framework.Member{Cluster: cluster}, Score: score, Room: room}
	}
	fleet := func() []*framework.Candidate {
		return []*framework.Candidate{
			member("a1", "eu", "x", 9, 10, "eu-1"), member("a2", "eu", "y", 8, 10, "eu-2"),
			member("b1", "us", "x", 7, 50, "us-1", "us-2"), member("b2", "us", "y", 6, 0, "us-1"), member("c1", "", "x", 5, 10),
		}
	}
	by := func(field policyv1alpha1.SpreadFieldValue, least, most int32) policyv1alpha1.SpreadConstraint {
		return policyv1alpha1.SpreadConstraint{SpreadByField: field, MinGroups: least, MaxGroups: most}
	}
	cluster, region, zone, provider := policyv1alpha1.SpreadByFieldCluster, policyv1alpha1.SpreadByFieldRegion, policyv1alpha1.SpreadByFieldZone, policyv1alpha1.SpreadByFieldProvider
	cases := map[string]struct {
		reason   string
		spread   []policyv1alpha1.SpreadConstraint
		division framework.Division
		replicas int32
		overflow string
		want     string
		refused  string
	}{
		"Regions":         {reason: "The second best makes way for another region.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 1, 2), by(region, 2, 2)}, want: "a1 b1"},
		"OneRegion":       {reason: "The region of the best is used.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 1, 0), by(region, 1, 1)}, want: "a1 a2"},
		"NoRegion":        {reason: "A member whose region is not known is in none.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 5, 0), by(region, 1, 0)}, refused: "no set of clusters meets all spread constraints"},
		"TooFewRegions":   {reason: "Two regions are not three.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 1, 0), by(region, 3, 0)}, refused: "spread constraints ask for at least 3 regions"},
		"Zones":           {reason: "A member counts for each of its zones.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 1, 2), by(zone, 3, 0)}, want: "a1 b1"},
		"Providers":       {reason: "Providers cut across regions.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 1, 2), by(region, 2, 0), by(provider, 2, 0)}, want: "a1 b2"},
		"Label":           {reason: "Any label groups.", spread: []policyv1alpha1.SpreadConstraint{{SpreadByLabel: "rack", MinGroups: 3}, by(cluster, 1, 3)}, want: "a1 b1 c1"},
		"TooFewValues":    {reason: "And may have too few values.", spread: []policyv1alpha1.SpreadConstraint{{SpreadByLabel: "rack", MinGroups: 4}}, refused: "spread constraints ask for at least 4 values of label rack"},
		"Room":            {reason: "The other region has the room.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 1, 0), by(region, 1, 1)}, division: framework.DivideByCapacity, replicas: 30, want: "b1"},
		"Full":            {reason: "A full member is no group.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 5, 0)}, division: framework.DivideAggregated, replicas: 30, refused: "spread constraints ask for at least 5 clusters"},
		"FewReplicas":     {reason: "As many groups as replicas, and one replica each.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 3, 0), by(region, 2, 0)}, division: framework.DivideByCapacity, replicas: 2, want: "a1+1 b1+1"},
		"OneForEachGroup": {reason: "One member of each region gets one at least.", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 1, 3), by(region, 2, 0)}, division: framework.DivideAggregated, replicas: 5, want: "a1+1 a2 b1+1"},
		"NoPriority":      {reason: "Without constraints nothing is left out.", division: framework.DivideByCapacity, replicas: 5, want: "a1 a2 b1 b2 c1"},
		"Overflow":        {reason: "Members of the affinity come before the overflow.", overflow: "rack=rack-b", spread: []policyv1alpha1.SpreadConstraint{by(cluster, 1, 2)}, want: "b1 b2"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			request := &framework.Request{
				Template: &template.Template{Workload: &template.Workload{Divisible: tc.division != ""}},
				Strategy: framework.Strategy{Pick: framework.PickAll, Division: tc.division},
				Spread:   tc.spread, Replicas: tc.replicas,
			}
			if tc.overflow != "" {
				request.Affinity = labelled(t, tc.overflow)
				request.Overflow = []*affinity.Affinity{nil}
			}
			selected, status := SpreadConstraint{}.Select(t.Context(), request, fleet())
			got := ""
			for i, c := range selected {
				if i > 0 {
					got += " "
				}
				got += c.Name()
				if c.AtLeast > 0 {
					got += fmt.Sprintf("+%d", c.AtLeast)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nSelect(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.refused, status.Message()); diff != "" {
				t.Errorf("\n%s\nSelect(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func labelled(t *testing.T, selector string) *affinity.Affinity {
	t.Helper()
	compiled, err := affinity.ForLabels(selector)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// TestDivisionMeetsConstraints chooses and divides at random and expects every
// constraint met by the members that get replicas.
func TestDivisionMeetsConstraints(t *testing.T) {
	random := rand.New(rand.NewPCG(21, 22))
	placed := 0
	for range 40_000 {
		request, candidates := randomRequest(random)
		selected, status := SpreadConstraint{}.Select(t.Context(), request, candidates)
		if status.Err() != nil {
			t.Fatal(status.Err())
		}
		if status != nil {
			continue
		}
		clusters, status := replicadivision.ReplicaDivision{}.Assign(t.Context(), request, selected)
		if status != nil {
			continue
		}
		placed++
		var sum int32
		var used []*framework.Candidate
		for _, cluster := range clusters {
			sum += cluster.Replicas
			i := slices.IndexFunc(candidates, func(c *framework.Candidate) bool { return c.Name() == cluster.Name })
			used = append(used, candidates[i])
			if strict(request) && cluster.Replicas > candidates[i].Room+candidates[i].Replicas {
				t.Fatalf("%+v: %v has no such room", request, cluster)
			}
		}
		if sum != request.Replicas {
			t.Fatalf("%+v: sum %d of %v", request, sum, clusters)
		}
		for _, constraint := range request.Spread {
			groups := map[string]bool{}
			for _, candidate := range used {
				for _, group := range groupsOf(constraint, candidate) {
					groups[group] = true
				}
			}
			least, most := min(constraint.MinGroups, request.Replicas), constraint.MaxGroups
			if int32(len(groups)) < least || most > 0 && int32(len(groups)) > most {
				t.Fatalf("%v on %v uses %d groups, replicas %d", constraint, clusters, len(groups), request.Replicas)
			}
		}
	}
	if placed < 10_000 {
		t.Errorf("only %d cases could be placed", placed)
	}
}

func randomRequest(random *rand.Rand) (*framework.Request, []*framework.Candidate) {
	divisions := []framework.Division{framework.DivideByWeight, framework.DivideByCapacity, framework.DivideAggregated}
	request := &framework.Request{
		Template: &template.Template{Workload: &template.Workload{Divisible: true}},
		Strategy: framework.Strategy{Pick: framework.PickAll, Division: divisions[random.IntN(3)]},
		Replicas: 1 + random.Int32N(30),
	}
	for _, field := range []policyv1alpha1.SpreadFieldValue{policyv1alpha1.SpreadByFieldCluster, policyv1alpha1.SpreadByFieldRegion, policyv1alpha1.SpreadByFieldProvider} {
		constraint := policyv1alpha1.SpreadConstraint{SpreadByField: field, MinGroups: 1 + random.Int32N(3)}
		if random.IntN(2) == 0 {
			constraint.MaxGroups = constraint.MinGroups + random.Int32N(3)
		}
		request.Spread = append(request.Spread, constraint)
	}
	var candidates []*framework.Candidate
	for i := range 2 + random.IntN(7) {
		cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("m%d", i)}}
		cluster.Spec.Region, cluster.Spec.Provider = fmt.Sprint(random.IntN(4)), fmt.Sprint(random.IntN(3))
		candidate := &framework.Candidate{Member: &framework.Member{Cluster: cluster}, Score: random.Int64N(10), Room: random.Int32N(20)}
		if random.IntN(3) == 0 {
			candidate.Placed, candidate.Replicas = true, random.Int32N(6)
			candidate.Score += 1000
		}
		candidates = append(candidates, candidate)
	}
	return request, candidates
}
