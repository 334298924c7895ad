// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/apps"
)

var web = apps.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}

func rebalancer(change func(*apps.WorkloadRebalancer)) *apps.WorkloadRebalancer {
	r := &apps.WorkloadRebalancer{
		ObjectMeta: metav1.ObjectMeta{Name: "monday", ResourceVersion: "1"},
		Spec:       apps.WorkloadRebalancerSpec{Workloads: []apps.ObjectReference{web}},
	}
	if change != nil {
		change(r)
	}
	return r
}

func paths(errs field.ErrorList) []string {
	var got []string
	for _, err := range errs {
		got = append(got, string(err.Type)+" "+err.Field)
	}
	return got
}

func TestValidateWorkloadRebalancer(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*apps.WorkloadRebalancer)
		want   []string
	}{
		"Valid": {reason: "one workload is enough"},
		"ClusterScoped": {
			reason: "a template may be in no namespace",
			change: func(r *apps.WorkloadRebalancer) { r.Spec.Workloads[0].Namespace = "" },
		},
		"None": {
			reason: "nothing to do is a mistake",
			change: func(r *apps.WorkloadRebalancer) { r.Spec.Workloads = nil },
			want:   []string{"FieldValueRequired spec.workloads"},
		},
		"Many": {
			reason: "the status names each",
			change: func(r *apps.WorkloadRebalancer) { r.Spec.Workloads = make([]apps.ObjectReference, maxWorkloads+1) },
			want:   []string{"FieldValueTooMany spec.workloads"},
		},
		"Twice": {
			reason: "a workload is decided about once",
			change: func(r *apps.WorkloadRebalancer) { r.Spec.Workloads = append(r.Spec.Workloads, web) },
			want:   []string{"FieldValueDuplicate spec.workloads[1]"},
		},
		"Nameless": {
			reason: "a template is named in full",
			change: func(r *apps.WorkloadRebalancer) {
				r.Spec.Workloads[0] = apps.ObjectReference{Namespace: "Shop"}
			},
			want: []string{
				"FieldValueRequired spec.workloads[0].apiVersion", "FieldValueRequired spec.workloads[0].kind",
				"FieldValueRequired spec.workloads[0].name", "FieldValueInvalid spec.workloads[0].namespace",
			},
		},
		"NegativeTTL": {
			reason: "nothing is deleted before it finished",
			change: func(r *apps.WorkloadRebalancer) { r.Spec.TTLSecondsAfterFinished = new(int32(-1)) },
			want:   []string{"FieldValueInvalid spec.ttlSecondsAfterFinished"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			given := rebalancer(tc.change)
			if diff := cmp.Diff(tc.want, paths(ValidateWorkloadRebalancer(given))); diff != "" {
				t.Errorf("\n%s\nValidateWorkloadRebalancer(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.want, paths(ValidateWorkloadRebalancerUpdate(given, rebalancer(nil)))); diff != "" {
				t.Errorf("\n%s\nValidateWorkloadRebalancerUpdate(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateWorkloadRebalancerStatusUpdate(t *testing.T) {
	cases := map[string]struct {
		reason string
		status apps.WorkloadRebalancerStatus
		want   []string
	}{
		"Valid": {
			reason: "one has a result, the other has none yet",
			status: apps.WorkloadRebalancerStatus{ObservedWorkloads: []apps.ObservedWorkload{{Workload: web, Result: apps.RebalanceFailed}, {Workload: web}}},
		},
		"OtherResult": {
			reason: "there are two results",
			status: apps.WorkloadRebalancerStatus{ObservedGeneration: -1, ObservedWorkloads: []apps.ObservedWorkload{{Workload: web, Result: "Soon"}}},
			want:   []string{"FieldValueInvalid status.observedGeneration", "FieldValueNotSupported status.observedWorkloads[0].result"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			given := rebalancer(func(r *apps.WorkloadRebalancer) { r.Status = tc.status })
			if diff := cmp.Diff(tc.want, paths(ValidateWorkloadRebalancerStatusUpdate(given, rebalancer(nil)))); diff != "" {
				t.Errorf("\n%s\nValidateWorkloadRebalancerStatusUpdate(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
