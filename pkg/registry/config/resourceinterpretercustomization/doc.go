// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package resourceinterpretercustomization stores
// ResourceInterpreterCustomizations.
package resourceinterpretercustomization
