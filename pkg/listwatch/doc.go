// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package listwatch makes of any client of one resource, be it typed, dynamic or of
// metadata, what reflectors and informers list and watch with.
package listwatch
