// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package differences runs one script of kubectl commands on a fleet of three members,
// in Push and Pull mode, and on one plain cluster, and compares what is printed.
//
// The script is a table of stories (script_test.go). A story has a namespace of its own
// and runs on both at the same time, command by command. Commands that only look are
// repeated until both say the same, so that the pace of either has no part in the result.
// Names of nodes, addresses, ages, hashes and the like, which differ between any two
// clusters, are blotted out before (blot_test.go).
//
// What differs nevertheless, and is no defect, is in a table with its reason
// (known_test.go). Each of its rows rewrites what is printed; what is equal then is
// explained. The test fails for whatever is not explained, and for rows that explain
// nothing. It writes docs/differences.md with -update, and fails if that differs from
// the table otherwise. All output is left in _run/differences/report.txt.
//
// rollout_test.go looks into the members as well: what an undone rollout leaves there, and
// a paused one.
package differences
