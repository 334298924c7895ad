// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package affinity matches members against the ClusterAffinity of the API, the one
// shape in which policies, static weights and overrides select members.
//
// A selector is compiled once per policy and matched many times; compiled ones
// are immutable and safe for concurrent use. The package is pure.
package affinity
