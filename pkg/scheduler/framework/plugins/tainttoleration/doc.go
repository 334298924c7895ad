// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tainttoleration keeps templates off members with taints they do not
// tolerate.
package tainttoleration
