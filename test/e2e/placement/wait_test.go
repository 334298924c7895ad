// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// eventually fails the test unless check succeeds within the limit. Its last error says
// what was seen instead.
func eventually(t *testing.T, limit time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		if err := check(ctx); ctx.Err() == nil || last == nil {
			last = err
		}
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("wait for %s: not within %s: %v", what, limit, last)
	}
}

// throughout fails the test when check fails at any time during the period.
func throughout(t *testing.T, period time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), period)
	defer cancel()
	var failure error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(context.Context) (bool, error) {
		// Not the context of the period: its end must not make a check fail.
		failure = check(t.Context())
		return false, failure
	})
	if failure != nil {
		t.Fatalf("%s did not last for %s: %v", what, period, err)
	}
}
