// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package overridepolicy stores OverridePolicies and ClusterOverridePolicies,
// which differ in scope only.
package overridepolicy
