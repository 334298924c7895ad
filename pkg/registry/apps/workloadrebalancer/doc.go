// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workloadrebalancer stores WorkloadRebalancers.
package workloadrebalancer
