// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package propagationpolicy stores PropagationPolicies and
// ClusterPropagationPolicies, which differ in scope only.
package propagationpolicy
