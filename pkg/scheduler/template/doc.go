// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package template is what the scheduler knows about objects users store in the
// fleet: which of them are ever carried to members, and the little that a
// decision about one depends on.
//
// Two tables hold all that is particular to a kind: never.go says what stays in
// the fleet, kinds.go what auto placement does with a native kind and how to read
// replicas and Pod requirements from it. Everything else of an object is dropped
// before it is cached, so a template costs the scheduler some hundred bytes,
// whatever its manifest weighs.
//
// The package is pure. Package source feeds it from informers; policy, auto and
// the framework read its results, which nobody changes after they are made.
package template
