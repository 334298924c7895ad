// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package resource builds the storage of the fleet's own resources: the part
// that is the same for all of them. What differs between two resources is a
// Definition; what an API decides about its objects is in the resource's strategy.
package resource
