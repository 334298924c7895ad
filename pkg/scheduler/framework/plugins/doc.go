// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugins lists the in-tree plugins and the profile that is used when the
// configuration names none.
package plugins
