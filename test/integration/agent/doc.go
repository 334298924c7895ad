// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agent tests how a member in Pull mode gets into a fleet, stays and
// leaves: "fleet register", the agent, the API server and the controllers, all in
// the test process. Another API server plays the member; it has no controllers, so
// Pods and garbage collection are not here but in the end-to-end tests.
package agent
