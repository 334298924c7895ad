// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiserver holds the integration tests of the API server alone: what a
// Kubernetes client may rely on, without any member.
package apiserver
