// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package foreground is the controller that ends deletions in the foreground: when the
// binding goes of a template that waits for nothing but its members, it takes the
// finalizer foregroundDeletion off the template. Admission plugin ForegroundDeletion
// says in the binding which templates those are, when it holds the garbage
// collector back that would have done so.
//
// What it misses, because it did not run, the garbage collector does at its next
// attempt. It works on informers, and is run by package manager.
package foreground
