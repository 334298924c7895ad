// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command playground runs a fleet over real member clusters on this machine, for
// people: it builds the programs that are missing, starts them detached, joins
// the members and says how to use them. It is "make up" and "make down".
//
//	playground build [-bin DIR] [-old-release]
//	playground up [-dir DIR] [-bin DIR] [-members N] [-nodes N] [-pull N] [-fleet=false] [-ldflags FLAGS]
//	playground status [-dir DIR]
//	playground down [-dir DIR]
//
// Everything that runs is in test/testbed; this command only drives it. Playgrounds
// in different directories do not touch one another.
package main
