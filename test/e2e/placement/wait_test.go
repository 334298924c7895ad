// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import "fleet.dev/fleet/test/testbed/suite"

// eventually and throughout wait for what the fleet and members do.
var (
	eventually = suite.Eventually
	throughout = suite.Throughout
)
