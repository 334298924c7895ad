// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clusterleaving keeps templates off members that are being unjoined.
package clusterleaving
