// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clusteraffinity keeps templates on the members their policy selects.
package clusteraffinity
