// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command controller-manager runs the controllers of a fleet: the stock ones of
// Kubernetes that a fleet needs, and the fleet's own.
package main

import (
	"os"

	"k8s.io/component-base/cli"

	"fleet.dev/fleet/cmd/controller-manager/app"
)

func main() {
	os.Exit(cli.Run(app.NewCommand()))
}
