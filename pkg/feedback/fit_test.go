// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// sized is the report of a member with a status and a message of so many bytes.
func sized(member string, status, message int) *report {
	r := said(member, true, "", 0)
	r.item.Status = &runtime.RawExtension{Raw: fmt.Appendf(nil, `{"x":%q}`, strings.Repeat("x", max(0, status-8)))}
	r.item.AppliedMessage = strings.Repeat("m", message)
	return r
}

func TestFit(t *testing.T) {
	const mega = 1 << 20
	cases := map[string]struct {
		reason  string
		reports []*report
		limit   int
		// want has for each member the size of status and message, "-" when left out.
		want    string
		message string
	}{
		"Small": {
			reason:  "everything fits",
			reports: []*report{sized("a", 100, 10), sized("b", 100, 10)}, limit: maxStatuses,
			want: "a=100/10 b=100/10",
		},
		"Largest": {
			reason:  "the largest goes, the others stay whole",
			reports: []*report{sized("a", 100, 0), sized("b", mega, 0), sized("c", 200, 0)}, limit: maxStatuses,
			want:    "a=100/0 b=-/0 c=200/0",
			message: "the status of b is too large and was left out; that of the template stays as it was",
		},
		"One": {
			reason:  "a single one that is as large as the limit stays",
			reports: []*report{sized("a", mega, 0)}, limit: maxStatuses,
			want: "a=1048576/0",
		},
		"Nothing": {
			reason:  "the rest of the binding leaves no room at all",
			reports: []*report{sized("a", 10, 0), sized("b", 10, 0)}, limit: 0,
			want:    "a=-/0 b=-/0",
			message: "the status of a, b is too large and was left out; that of the template stays as it was",
		},
		"Words": {
			reason:  "all together say too much: each gets the same share",
			reports: []*report{sized("a", 10, 10), sized("b", 10, 32768), sized("c", 10, 300000)}, limit: maxStatuses,
			want: "a=10/10 b=10/32768 c=10/87381",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			binding := &workv1alpha1.ResourceBinding{}
			binding.Spec.Resource.UID = "u"
			for _, r := range tc.reports {
				binding.Spec.Clusters = append(binding.Spec.Clusters, workv1alpha1.TargetCluster{Name: r.member})
			}
			merge(binding, tc.reports, nil, tc.limit, now)
			var got []string
			for _, item := range binding.Status.AggregatedStatus {
				size := "-"
				if !item.StatusOmitted {
					size = fmt.Sprint(sizeOf(&item))
				}
				got = append(got, fmt.Sprintf("%s=%s/%d", item.ClusterName, size, len(item.AppliedMessage)))
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			message := ""
			if condition := meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionStatusComplete); condition != nil {
				message = condition.Message
			}
			if message != tc.message {
				t.Errorf("%s: want %q, got %q", tc.reason, tc.message, message)
			}
			if merge(binding, tc.reports, nil, tc.limit, now).changed {
				t.Errorf("%s: the second time changes something", tc.reason)
			}
		})
	}
}

func TestFitTakesBack(t *testing.T) {
	binding := &workv1alpha1.ResourceBinding{}
	binding.Spec.Resource.UID = "u"
	binding.Spec.Clusters = []workv1alpha1.TargetCluster{{Name: "a"}}
	merge(binding, []*report{sized("a", 100, 0)}, nil, 10, now)
	merge(binding, []*report{sized("a", 5, 0)}, nil, 10, now)
	if condition := meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionStatusComplete); condition != nil {
		t.Errorf("it fits now: got %v", condition)
	}
}
