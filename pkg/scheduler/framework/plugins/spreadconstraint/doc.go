// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package spreadconstraint chooses the members to use among those that pass the
// filters.
package spreadconstraint
