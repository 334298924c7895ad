// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clusteraccepted keeps templates off members in Pull mode that nobody
// accepted.
package clusteraccepted
