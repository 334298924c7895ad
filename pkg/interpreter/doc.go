// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package interpreter reads kinds the fleet does not know by the CEL of
// ResourceInterpreterCustomizations: how many replicas an object asks for, what it
// depends on, whether it is healthy, what its status is.
//
// It is pure: customizations and objects in, answers out; no clients, no clock. An
// Interpreter is immutable and safe for concurrent use; package store keeps one
// current. Expressions are compiled when they are first asked, so that those of kinds
// nobody uses cost nothing. Each evaluation is bounded in cost.
//
// Each question has three results: an answer, none (the customizations do not speak
// of it, or the expression returned null), after which the caller goes by the rule it
// has for all kinds, or an error, which is about that one object and is for its owner
// to see. An answer is checked strictly: a field that nobody knows is an error, not
// ignored.
//
// Of several customizations for a kind the first by name answers, each question by
// itself; those of package builtin come after all of the user's.
//
// Who asks what:
//
//	replicaResource, replicaRevision, componentResource,
//	dependencyInterpretation                              scheduler
//	replicaRevision, as recorded in the binding           render
//	retention, healthInterpretation, statusReflection     syncer
//	statusAggregation                                     feedback
package interpreter
