// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import "fleet.dev/fleet/test/testbed/suite"

// eventually, await and throughout wait for what the fleet and members do.
var (
	eventually = suite.Eventually
	await      = suite.Await
	throughout = suite.Throughout
)
