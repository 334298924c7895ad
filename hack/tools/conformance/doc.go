// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conformance pins Kubernetes' own end-to-end tests. "make conformance"
// compiles them from here, so that what only they need is none of the fleet's
// requirements.
package conformance

import _ "k8s.io/kubernetes/test/e2e" // what is pinned
