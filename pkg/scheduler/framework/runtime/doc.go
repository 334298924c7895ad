// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package runtime holds the registry of plugins and runs those of a profile.
//
// A Framework is made once per profile and runs one cycle at a time; see the
// framework package for the extension points and their order.
package runtime
