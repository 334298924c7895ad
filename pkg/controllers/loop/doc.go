// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package loop is what Fleet's own controllers have in common: a queue of names,
// handlers of informers that fill it, and workers that reconcile one name at a
// time and try again what failed.
package loop
