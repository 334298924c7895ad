// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package framework is the contract between the scheduling cycle and its plugins,
// in the manner of kube-scheduler with members in the place of nodes.
//
// One cycle places one template. It asks the plugins of a profile, in this order:
//
//	PreFilter  may rule out all members but some, once per cycle
//	Filter     may refuse a member, and says why
//	Score      ranks the members that are left
//	Select     chooses the members to use
//	Assign     divides the replicas among them
//	Reserve    learns of the decision before it is written
//
// A plugin implements the extension points it has something to say at. In-tree
// plugins are pure: everything they look at is in the Request and the Candidate.
// Those of others may keep state of their own. Filter is called from several
// goroutines at a time, for different members of one cycle; the other extension points
// from one at a time, Unreserve excepted.
//
// Plugins for other programs than this repository's import the types here and
// are registered with app.WithPlugin.
package framework
