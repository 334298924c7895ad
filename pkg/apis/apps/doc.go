// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// +k8s:deepcopy-gen=package
// +groupName=apps.fleet.dev

// Package apps is the internal version of the API group apps.fleet.dev: what the
// API server works on between decoding a request and encoding its answer. No
// client sees it. The fields are those of the versioned packages below, and are
// documented there.
package apps
