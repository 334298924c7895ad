// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package work serves works, which are rendered and not stored, and takes what
// members report about them.
//
// Reading goes through an ordinary generic store; package derived puts its own
// storage under it. Works are never created, changed or deleted through the API.
// A write to the status subresource is a report of one work and goes, like the
// many in a WorkFeedback (package workfeedback), to the Sink.
package work
