// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// answers of API servers, in their words.
func answered(code int, reason metav1.StatusReason, words string) error {
	return fmt.Errorf("apply ConfigMap shop/settings to member %q: %w", "one", &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: words,
	}})
}

func TestFailed(t *testing.T) {
	cases := map[string]struct {
		reason string
		err    error
		want   string
		retry  retry
	}{
		"Webhook": {
			reason: "a webhook refuses with 403 unless it says otherwise",
			err:    answered(http.StatusForbidden, metav1.StatusReasonForbidden, `admission webhook "policy.example.com" denied the request: no latest tags`),
			want:   workv1alpha1.AppliedReasonDenied, retry: later,
		},
		"WebhookSaysInvalid": {
			reason: "a webhook may answer with the code it likes",
			err:    answered(http.StatusBadRequest, metav1.StatusReasonBadRequest, `admission webhook "policy.example.com" denied the request: no latest tags`),
			want:   workv1alpha1.AppliedReasonDenied, retry: later,
		},
		"AdmissionPolicy": {
			reason: "a ValidatingAdmissionPolicy answers 422",
			err:    answered(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, `configmaps "settings" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`),
			want:   workv1alpha1.AppliedReasonDenied, retry: later,
		},
		"Quota": {
			reason: "a quota is somebody's decision in the member",
			err:    answered(http.StatusForbidden, metav1.StatusReasonForbidden, `configmaps "settings" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1`),
			want:   workv1alpha1.AppliedReasonDenied, retry: later,
		},
		"Rights": {
			reason: "the fleet lacks a right",
			err:    answered(http.StatusForbidden, metav1.StatusReasonForbidden, `configmaps "settings" is forbidden: User "system:serviceaccount:fleet-system:fleet-syncer" cannot patch resource "configmaps" in API group "" in the namespace "shop"`),
			want:   workv1alpha1.AppliedReasonForbidden, retry: later,
		},
		"Escalation": {
			reason: "the fleet lacks the rights it is to grant",
			err:    answered(http.StatusForbidden, metav1.StatusReasonForbidden, `roles.rbac.authorization.k8s.io "r" is forbidden: user "system:serviceaccount:fleet-system:fleet-syncer" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held`),
			want:   workv1alpha1.AppliedReasonForbidden, retry: later,
		},
		"WebhookAway": {
			reason: "a webhook that cannot be called may come back",
			err:    apierrors.NewInternalError(errors.New(`failed calling webhook "policy.example.com": connection refused`)),
			want:   workv1alpha1.AppliedReasonFailed, retry: soon,
		},
		"Unreachable": {
			reason: "the Cluster tells that, not each work",
			err:    errors.New("connection refused"),
			retry:  soon,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := failed(tc.err, nil)
			if o.reason != tc.want || o.retry != tc.retry {
				t.Errorf("%s: failed() = %s, retry %d, want %s, %d", tc.reason, o.reason, o.retry, tc.want, tc.retry)
			}
			var status apierrors.APIStatus
			if tc.want != "" && errors.As(tc.err, &status) && o.message != status.Status().Message {
				t.Errorf("%s: the message is %q, want the member's words and nothing else", tc.reason, o.message)
			}
		})
	}
}

func TestImmutableFields(t *testing.T) {
	job := schema.GroupKind{Group: "batch", Kind: "Job"}
	dump := strings.Repeat("core.Container{} ", 200)
	cases := map[string]struct {
		reason string
		causes field.ErrorList
		want   string
		all    bool
	}{
		"Job":         {"", field.ErrorList{field.Invalid(field.NewPath("spec", "template"), dump, "field is immutable")}, "spec.template", true},
		"ClusterIP":   {"", field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs").Index(0), "10.0.0.9", "may not change once set")}, "spec.clusterIPs[0]", true},
		"StatefulSet": {"", field.ErrorList{field.Forbidden(field.NewPath("spec"), "updates to statefulset spec for fields other than 'replicas', 'template' are forbidden")}, "spec", true},
		"Claim":       {"", field.ErrorList{field.Forbidden(field.NewPath("spec"), "spec is immutable after creation except resources.requests")}, "spec", true},
		"Priority":    {"", field.ErrorList{field.Forbidden(field.NewPath("value"), "may not be changed in an update.")}, "value", true},
		"RoleRef":     {"", field.ErrorList{field.Invalid(field.NewPath("roleRef"), "x", "cannot change roleRef")}, "roleRef", true},
		"Rule":        {"", field.ErrorList{field.Invalid(field.NewPath("spec", "size"), 1, "failed rule: self == oldSelf")}, "spec.size", true},
		"Several":     {"each field once", field.ErrorList{field.Invalid(field.NewPath("b"), 1, "field is immutable"), field.Invalid(field.NewPath("a"), 1, "field is immutable"), field.Invalid(field.NewPath("b"), 2, "field is immutable")}, "a b", true},
		"AndMore":     {"to make it anew would not help", field.ErrorList{field.Invalid(field.NewPath("a"), 1, "field is immutable"), field.Required(field.NewPath("b"), "")}, "a", false},
		"Other":       {"it is just wrong", field.ErrorList{field.Invalid(field.NewPath("a"), -1, "must be positive")}, "", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := fmt.Errorf("apply: %w", apierrors.NewInvalid(job, "job", tc.causes))
			fields, all := immutableFields(err)
			if got := strings.Join(fields, " "); got != tc.want || all != tc.all {
				t.Errorf("%s: immutableFields() = %q, %t, want %q, %t", tc.reason, got, all, tc.want, tc.all)
			}
		})
	}
	if fields, all := immutableFields(answered(http.StatusForbidden, metav1.StatusReasonForbidden, "it is immutable")); fields != nil || all {
		t.Errorf("immutableFields() of a webhook's words = %v, %t, want none: only validation tells fields", fields, all)
	}
}

// TestWithoutMiddle: API servers print whole Pod templates before they say why.
func TestWithoutMiddle(t *testing.T) {
	const why = ": field is immutable"
	long := "Job.batch \"job\" is invalid: " + strings.Repeat("é", 1000) + why
	got := withoutMiddle(long)
	if len(got) > longMessage || !strings.HasPrefix(got, "Job.batch") || !strings.HasSuffix(got, why) || !strings.Contains(got, " ... ") {
		t.Errorf("withoutMiddle() = %q, want beginning and end in at most %d bytes", got, longMessage)
	}
	if got := withoutMiddle(why); got != why {
		t.Errorf("withoutMiddle(%q) = %q, want it as it is", why, got)
	}
}
