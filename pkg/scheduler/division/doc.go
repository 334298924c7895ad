// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package division decides how many replicas of one template each member runs.
//
// It is arithmetic on names and numbers: no API types, no clients, no clock. The
// replicadivision plugin calls it with the members that passed every filter.
//
// What holds for every function:
//
//   - The shares add up to the wanted replicas exactly, or there is an error.
//   - Growing never takes a replica from a member, so running Pods stay where
//     they are; shrinking never gives one and keeps the proportions.
//   - The result depends on the arguments alone; ties go to the member that comes
//     first in the list.
//
// Proportions are those of the highest-averages method with odd divisors
// (Sainte-Laguë, also called Webster's). Unlike rounding by largest remainder it
// is house-monotone: one replica more for the template never means one less for
// some member.
package division
