// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// pollInterval is how often the outside world is looked at.
const pollInterval = 100 * time.Millisecond

// eventually fails the test unless check succeeds within the given time. Its last
// error says what was seen instead.
func eventually(t *testing.T, within time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	if err := await(t.Context(), within, check); err != nil {
		t.Fatalf("wait for %s: %v", what, err)
	}
}

// await is eventually for cleanups and goroutines, which must not end the test.
func await(ctx context.Context, within time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if ctx.Err() == nil || last == nil {
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("not within %s: %w", within, last)
	}
	return nil
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
