// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package validation says what is wrong with objects of apps.fleet.dev, each
// mistake with the path of its field. It is pure; the strategies of the registry
// call it.
package validation
