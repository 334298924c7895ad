// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command fleet-apiserver serves the fleet's API.
package main

import (
	"os"

	"k8s.io/component-base/cli"

	"fleet.dev/fleet/cmd/fleet-apiserver/app"
)

func main() {
	os.Exit(cli.Run(app.NewCommand()))
}
