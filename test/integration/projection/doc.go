// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package projection tests that objects of members are shown in the fleet as if
// they were stored there: a real API server in the test process over HTTP, and
// fake members (pkg/member/fake).
package projection
