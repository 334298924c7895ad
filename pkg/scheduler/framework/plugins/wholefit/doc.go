// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wholefit refuses members that have no room for all Pods of a template
// that cannot be divided: all components of one with several, and all replicas where
// the placement asks for all or none.
package wholefit
