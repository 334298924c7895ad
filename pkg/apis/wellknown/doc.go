// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wellknown names everything the parts of a fleet agree on by string:
// labels, annotations, finalizers, taints, field managers, users and Secret
// keys. It holds constants only, so that any package may import it.
//
// A new name is added here with one sentence that says who writes it, on what
// and what it means; no other package spells such a string out.
package wellknown
