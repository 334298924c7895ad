// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/health"
)

func TestFinished(t *testing.T) {
	job, pod := schema.GroupKind{Group: "batch", Kind: "Job"}, schema.GroupKind{Kind: "Pod"}
	cases := map[string]struct {
		reason string
		kind   schema.GroupKind
		status string
		want   bool
	}{
		"Complete":       {reason: "It succeeded.", kind: job, status: `{"conditions":[{"type":"SuccessCriteriaMet","status":"True"},{"type":"Complete","status":"True"}]}`, want: true},
		"FailedJob":      {reason: "A failed Job is not tried again.", kind: job, status: `{"conditions":[{"type":"Failed","status":"True"}]}`, want: true},
		"Ending":         {reason: "Its Pods are still to end.", kind: job, status: `{"conditions":[{"type":"FailureTarget","status":"True"}]}`},
		"Suspended":      {reason: "It may be resumed.", kind: job, status: `{"conditions":[{"type":"Suspended","status":"True"}]}`},
		"NotTrue":        {reason: "A condition says by its status whether it holds.", kind: job, status: `{"conditions":[{"type":"Complete","status":"False"}]}`},
		"Succeeded":      {reason: "Phases of the end are final.", kind: pod, status: `{"phase":"Succeeded"}`, want: true},
		"FailedPod":      {reason: "Phases of the end are final.", kind: pod, status: `{"phase":"Failed"}`, want: true},
		"Disrupted":      {reason: "It was taken off its node, and did not end by itself.", kind: pod, status: `{"phase":"Failed","conditions":[{"type":"DisruptionTarget","status":"True"}]}`},
		"DisruptedLate":  {reason: "It was done before.", kind: pod, status: `{"phase":"Succeeded","conditions":[{"type":"DisruptionTarget","status":"True"}]}`, want: true},
		"Running":        {reason: "It runs.", kind: pod, status: `{"phase":"Running"}`},
		"NoStatus":       {reason: "Nobody reported anything yet.", kind: pod},
		"Unreadable":     {reason: "A member may report anything.", kind: pod, status: `{"phase":{}}`},
		"Other":          {reason: "What serves has no end.", kind: schema.GroupKind{Group: "apps", Kind: "Deployment"}, status: `{"phase":"Succeeded"}`},
		"CustomResource": {reason: "What a kind of the same name means is not known.", kind: schema.GroupKind{Group: "batch.volcano.sh", Kind: "Job"}, status: `{"conditions":[{"type":"Complete","status":"True"}]}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := health.Finished(tc.kind, []byte(tc.status)); got != tc.want {
				t.Errorf("%s\nFinished(%s, %s) = %t, want %t", tc.reason, tc.kind, tc.status, got, tc.want)
			}
		})
	}
}
