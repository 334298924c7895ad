// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package namednodes keeps Pods that ask for nodes by name on the members that have
// those nodes.
package namednodes
