// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// The scheduler of the fleet with a plugin of one's own. Such a program is all it takes:
// copy it to a repository that requires fleet.dev/fleet, with the replace lines of its
// go.mod, and run it in the place of the scheduler, with --config config.yaml.
package main

import (
	"os"

	"k8s.io/component-base/cli"

	"fleet.dev/fleet/cmd/scheduler/app"
	"fleet.dev/fleet/examples/scheduler/cheapest"
)

func main() {
	os.Exit(cli.Run(app.NewCommand(app.WithPlugin(cheapest.Name, cheapest.New))))
}
