// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package placement holds the end-to-end tests of where templates go, and why: a
// table of cases over one fleet of four real members, each with objects and policies as
// users write them.
//
//	alpha    env=prod  tier=gold    provider aws  region eu  zone eu-1
//	bravo    env=prod  tier=silver  provider gcp  region eu  zone eu-2
//	charlie  env=stage tier=gold    provider aws  region us  zones us-1, us-2
//	delta    env=stage tier=silver  provider gcp  region us  zone us-2   Pull mode,
//	         tainted dedicated=batch:NoSchedule
//
// A case is a list of steps in a namespace of its own: something is applied, then
// the members and the fleet are looked at until they are as they should be. Cases run
// side by side and do not see each other:
//
//   - Cluster policies select in the namespace of their case.
//   - Where capacity matters, Pods go to nodes that only the Pods of that case
//     may run on, see testCase.nodes.
//   - What changes members (labels, taints) uses keys of its own, or is marked
//     exclusive and runs before the others.
//
// That something does not happen is looked at only when something else shows that
// the scheduler had its chance: a probe that the same change moves.
//
// The members are made anew at each run and left behind stopped, with all logs, in
// _run/e2e-placement. Namespaces are left as they are, for who reads why a case failed.
package placement
