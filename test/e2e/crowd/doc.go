// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crowd joins many members in Pull mode to a real fleet server: more than
// a machine could run clusters.
//
// The agents are real (package agent: works, feedback, leases, status, tunnel) and
// run in this process, each with a certificate of its own. Their members are
// simulated (pkg/member/fake). What the agents would do once in their life is done
// for all of them beforehand: the certificates are signed with the fleet's key, and
// the Clusters are created as accepted ones.
//
// What a crowd costs is measured at the server, which is a process of its own. Say
// beside every number that the members were simulated.
package crowd
