// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command scheduler decides which members of a fleet run what.
package main

import (
	"os"

	"k8s.io/component-base/cli"

	"fleet.dev/fleet/cmd/scheduler/app"
)

func main() {
	os.Exit(cli.Run(app.NewCommand()))
}
