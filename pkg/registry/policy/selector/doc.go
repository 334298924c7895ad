// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package selector says in words what the resource selectors of policies do: in a
// column, and in a warning where a part of one has no effect. Propagation and
// override policies share it.
package selector
