// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package wellknown

// Version is the version of the project, set when the programs are linked.
var Version = "v0.0.0"
