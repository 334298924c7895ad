// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rollup makes one native .status out of those of many members.
//
// It is pure: the template, what its members reported and the time in, the
// template's new status out; no clients, no state, safe for concurrent use. The
// feedback intake of the API server calls it and writes the answer to the
// template, whose status it is the only writer of.
//
// The result is meant for programs that know nothing of a fleet: kubectl rollout
// status and wait, helm --wait, kstatus, client-go. So it follows four rules:
//
//   - A number never promises more than the members hold. When the members
//     together are asked for more than the template says (a duplicated template),
//     counters are brought to the template's own spec.replicas: replicas and
//     unavailable ones round up, everything good rounds down, so that 3 of 3 is
//     shown only when all nine are ready.
//   - status.observedGeneration moves to a generation only once every member
//     reflects it, and never back. There is one exception: when a Deployment
//     exceeded its progress deadline it moves too, because every waiter looks at
//     it first and would otherwise wait for ever instead of reading the failure.
//   - A condition keeps its times until it changes.
//   - Every result passes upstream's validation of a status update against the
//     status it replaces; what a terminal Job may no longer change stays.
//
// Kinds are rows of a table, one small file each. Where upstream's controller has
// a rule (maxUnavailable, completeness, progress), its own function decides.
// Kinds without a row, custom resources among them, have the status that a
// customization makes of those of the members. Without one they take the status of
// their member as it is while there is one member, or while all members say the same, but
// for when it happened last;
// otherwise their status stays, and what each member says is in the binding.
// Kinds whose status the fleet's own controllers write (Namespace,
// CustomResourceDefinition, APIService, ResourceQuota, PodDisruptionBudget, ...) are
// never touched.
package rollup
