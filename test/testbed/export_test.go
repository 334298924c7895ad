// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

// InnerPorts are the ports the processes of a member itself listen on.
func InnerPorts(m *Member) []int { return m.layout.ports.listening() }
