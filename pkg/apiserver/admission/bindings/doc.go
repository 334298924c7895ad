// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bindings is what admission plugins share that read or mark the binding of
// the template they admit a change of. It reads the fleet itself, not a cache, since
// what is found decides.
package bindings
