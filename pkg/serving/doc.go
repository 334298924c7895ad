// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package serving serves health and metrics of a component over HTTPS, to those
// an API server authenticates and authorizes: the flags, their validation and the
// listener that scheduler, controller manager and syncer have in common. What is
// served is each component's own handler.
package serving
