// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package table prints API objects as the rows kubectl shows. A resource gives its
// columns and how one object fills them; the first column is always the name, and
// the age comes after the columns that are always shown, before the wide ones.
package table
