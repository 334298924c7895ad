// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command syncer carries works to the members of a fleet and reports back.
package main

import (
	"os"

	"k8s.io/component-base/cli"

	"fleet.dev/fleet/cmd/syncer/app"
)

func main() {
	os.Exit(cli.Run(app.NewCommand()))
}
