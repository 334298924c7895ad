// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package volumeaffinity sends Pods to where the volumes they mount are.
package volumeaffinity
