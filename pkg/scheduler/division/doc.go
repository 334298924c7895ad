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
//   - A member gets what it is to get at least. Only where that asks for more than
//     is added does anybody have to give.
//   - Tiers are filled in order and emptied in reverse. What runs in a higher tier
//     stays there when a lower one gets room.
//   - The result depends on the arguments alone; ties go to the member that has the
//     replica already, then to the one that comes first in the list.
//
// Proportions are those of the highest-averages method with odd divisors
// (Sainte-Laguë, also called Webster's). Unlike rounding by largest remainder it
// is house-monotone: one replica more for the template never means one less for
// some member.
package division
