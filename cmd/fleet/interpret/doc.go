// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package interpret tries customizations on objects in files, without a fleet. It
// refuses what the server would refuse, and asks with the code that scheduler, syncer
// and server ask with. The command of that name prints its answers.
package interpret
