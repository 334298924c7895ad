// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tabletest compares what a resource prints with golden files. Only tests
// import it; `go test -update` writes the files.
package tabletest
