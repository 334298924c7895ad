// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apienablement keeps templates off members that do not serve their kind.
package apienablement
