// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package builtin has the customizations that a fleet brings along, for kinds of
// well-known projects: one file for each project in customizations/. They are ordinary
// ResourceInterpreterCustomizations, and answer only what those of the user do not.
//
// Every kind has an object in testdata/objects, with the status that its controller
// writes, and in testdata/golden what all its rules answer.
package builtin
