// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func TestDrifted(t *testing.T) {
	drifted := func(member, reason string, paths ...string) *report {
		r := said(member, false, reason, 0)
		for _, path := range paths {
			r.item.Drift = append(r.item.Drift, workv1alpha1.FieldDrift{Op: "replace", Path: path, Value: "3", Observed: "5"})
		}
		return r
	}
	cases := map[string]struct {
		reason  string
		reports []*report
		want    string // reason and message, empty without the condition
	}{
		"None":      {reason: "all is as wanted", reports: []*report{said("a", true, "", 0)}},
		"One":       {reason: "it says what is not", reports: []*report{drifted("a", "Conflict", ".spec.replicas")}, want: "FoughtOver a: .spec.replicas is 5 and not 3"},
		"Several":   {reason: "it stays readable", reports: []*report{drifted("a", "Conflict", ".a", ".b"), drifted("b", "Suspended", ".c")}, want: "FoughtOver a: .a is 5 and not 3 and 1 more; b: .c is 5 and not 3"},
		"Suspended": {reason: "nobody fights", reports: []*report{drifted("a", "Suspended", ".a")}, want: "Suspended a: .a is 5 and not 3"},
		"TakenBack": {reason: "the last report counts", reports: []*report{drifted("a", "Conflict", ".a"), said("a", true, "", 0)}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			binding := &workv1alpha1.ResourceBinding{}
			binding.Spec.Resource.UID = "u"
			binding.Spec.Clusters = []workv1alpha1.TargetCluster{{Name: "a"}, {Name: "b"}}
			for _, r := range tc.reports {
				merge(binding, []*report{r}, nil, maxStatuses, now)
			}
			got := ""
			if condition := meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionDrifted); condition != nil {
				got = condition.Reason + " " + condition.Message
			}
			if got != tc.want {
				t.Errorf("%s: want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}
