// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package store keeps an interpreter current while ResourceInterpreterCustomizations
// come, change and go.
//
// Every component that interprets has one, fed by an informer. Readers take the
// Interpreter of the moment, without a lock; those who keep what came of it are told
// which kinds are interpreted otherwise from now on.
package store
