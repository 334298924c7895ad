// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package parallelize does the same with every member of a cycle, side by side when
// there are so many that it pays, in the manner of kube-scheduler's package of that
// name. Results go into slices sized before, so that what comes out does not depend on
// who was first.
package parallelize
