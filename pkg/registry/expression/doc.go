// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package expression checks the CEL of API objects as they are written. It belongs
// to the strategies, because the API packages have no compiler. Expressions are compiled
// as they will be evaluated, so that what does not fit its variables is refused.
package expression
