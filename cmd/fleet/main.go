// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command fleet is the user's tool: it runs a fleet, joins clusters to it and
// shows them. Installed as kubectl-fleet it is "kubectl fleet".
package main

import (
	"os"

	"fleet.dev/fleet/cmd/fleet/app"
)

func main() {
	os.Exit(app.Run(os.Args))
}
