// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package install registers the API group apps.fleet.dev, all its versions with
// their defaults and conversions, in a scheme. Nothing happens on import: the
// caller names the scheme.
package install
