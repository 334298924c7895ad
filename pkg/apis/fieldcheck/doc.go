// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fieldcheck checks single fields: an enumeration, a range, a name, a
// JSON pointer. The validation packages of the API groups are made of these
// checks, so that the same mistake gets the same message everywhere. All checks
// are pure and return what is wrong with its field path.
package fieldcheck
