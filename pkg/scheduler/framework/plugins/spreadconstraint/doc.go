// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package spreadconstraint chooses the members to use among those that pass the
// filters. The search is in package spread; the plugin says what is grouped by
// what, and which of the chosen have to get replicas.
package spreadconstraint
