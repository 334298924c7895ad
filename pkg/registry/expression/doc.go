// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package expression checks the CEL of API objects as they are written. It belongs
// to the strategies, because the API packages have no compiler. Expressions of
// policies are compiled as they will be evaluated; of others it is checked that
// they parse, and whether they fit their variables is found by whoever evaluates
// them.
package expression
