// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package expression checks the CEL of API objects as they are written: that it
// parses. It belongs to the strategies, because the API packages have no compiler.
// Whether an expression fits its variables is found by whoever evaluates it.
package expression
