// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"context"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Sink takes reports of one member about its works. Accept returns a result for
// each item, in their order, once the accepted ones are durable. An error means
// that nothing is known about any of them; the member sends them again.
type Sink interface {
	Accept(ctx context.Context, member string, items []workv1alpha1.FeedbackItem) ([]workv1alpha1.FeedbackResult, error)
}
