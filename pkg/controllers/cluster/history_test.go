// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestHistory(t *testing.T) {
	type result struct {
		News bool
		Hold time.Duration
	}
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	h := newHistory(clock)
	for _, step := range []struct {
		reason string
		after  time.Duration
		status metav1.ConditionStatus
		cause  string
		want   result
	}{
		{reason: "What was before this process is no news.", status: metav1.ConditionTrue},
		{reason: "The same again is none.", after: time.Second, status: metav1.ConditionTrue},
		{reason: "A loss is.", after: time.Second, status: metav1.ConditionFalse, want: result{News: true}},
		{reason: "Another reason is, and no other loss.", after: time.Second, status: metav1.ConditionFalse, cause: "x", want: result{News: true}},
		{reason: "The first return is trusted.", after: time.Second, status: metav1.ConditionTrue, want: result{News: true}},
		{reason: "A member lost again", after: time.Second, status: metav1.ConditionUnknown, want: result{News: true}},
		{reason: "has to stay for a while.", after: time.Second, status: metav1.ConditionTrue, want: result{News: true, Hold: 10 * time.Second}},
		{reason: "The while passes.", after: 4 * time.Second, status: metav1.ConditionTrue, want: result{Hold: 6 * time.Second}},
		{reason: "Then it is trusted.", after: 6 * time.Second, status: metav1.ConditionTrue},
		{reason: "Old losses do not count.", after: flapWindow, status: metav1.ConditionUnknown, want: result{News: true}},
		{reason: "So this is a first one.", after: time.Second, status: metav1.ConditionTrue, want: result{News: true}},
	} {
		clock.SetTime(clock.Now().Add(step.after))
		got := result{News: h.observe("m1", &metav1.Condition{Status: step.status, Reason: string(step.status) + step.cause}), Hold: h.hold("m1")}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("\n%s\n-want, +got:\n%s", step.reason, diff)
		}
	}
	for range 100 {
		h.observe("m1", &metav1.Condition{Status: metav1.ConditionFalse})
		h.observe("m1", &metav1.Condition{Status: metav1.ConditionTrue})
	}
	if hold := h.hold("m1"); hold != maxHold {
		t.Errorf("\nHowever often a member is lost, it is trusted again after a minute.\nhold(...): want %s, got %s", maxHold, hold)
	}
	h.forget("m1")
	if h.hold("m1") != 0 || h.observe("m1", nil) {
		t.Error("\nA member that was forgotten starts anew.")
	}
}
