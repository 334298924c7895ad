// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cheapest is an example of a plugin that is not built in: it refuses members
// that cost too much and prefers those that cost least. A label of the Cluster tells
// what it costs.
package cheapest
