// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics holds the metrics of the scheduler. Depth and latency of its queue
// are those of the workqueue named scheduler.
package metrics
