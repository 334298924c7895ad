// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// pollInterval is how often the outside world is looked at.
const pollInterval = 100 * time.Millisecond

// Eventually fails the test unless check succeeds within the given time. Its last
// error says what was seen instead.
func Eventually(tb testing.TB, within time.Duration, what string, check func(context.Context) error) {
	tb.Helper()
	if err := Await(tb.Context(), within, check); err != nil {
		tb.Fatalf("wait for %s: %v", what, err)
	}
}

// Await is Eventually for cleanups and goroutines, which must not end the test.
func Await(ctx context.Context, within time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		// What fails because time is up says less than what failed before.
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

// Throughout fails the test when check fails at any time during the period.
func Throughout(tb testing.TB, period time.Duration, what string, check func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), period)
	defer cancel()
	var failure error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(context.Context) (bool, error) {
		// Not the context of the period: its end must not make a check fail.
		failure = check(tb.Context()) //nolint:contextcheck // see above
		return false, failure
	})
	if failure != nil {
		tb.Fatalf("%s did not last for %s: %v", what, period, err)
	}
}
