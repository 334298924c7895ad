// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clusterready keeps templates off members that are not ready.
package clusterready
