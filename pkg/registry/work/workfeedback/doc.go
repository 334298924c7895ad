// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workfeedback takes reports of members about many works in one request.
//
// The resource can only be created, like a TokenReview: nothing is stored under
// its name, and the answer carries a result for each item.
package workfeedback
