// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package spread chooses members under bounds on how many groups of them are
// used: members, regions, zones, providers, values of a label.
//
// It is pure and knows nothing of the API. A dimension is one way of grouping;
// a member is in one group of it, or in several (a member in three zones). A
// choice is valid when it uses at least the fewest and at most the most groups
// of every dimension.
//
// Of the valid choices the best is the one that comes first when they are
// compared member by member in the order given: the first member is in it if it
// is in any valid choice, the second if it is in any that agrees so far, and so
// on. So members that are preferred are used, limits are used up, and a choice
// changes no more than the order does. When the choice is to have room for
// something, those with enough of it count before those without.
//
// The search takes or leaves one member after the other and steps back only
// where a bound shows that nothing valid lies ahead. The bounds are exact for one
// dimension, and for two of which one nests in the other (zones in regions),
// which are those in use; for others finding out may take many steps, and after
// MaxSteps the search gives up with ErrTooHard.
package spread
