// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kinds carries one object of every kind through its life: every kind that a
// fleet serves, and kinds of well-known operators, each with a
// CustomResourceDefinition that is made while the fleet runs. One member is of an
// old release of Kubernetes, the other of the current one. What happened, kind by
// kind and step by step, is docs/kinds.md; what is not the rule is explained in
// a table here, and what is in the table has to happen.
//
// "go test ./test/long/kinds -update" writes docs/kinds.md anew.
package kinds
