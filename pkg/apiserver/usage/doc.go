// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package usage serves what members measure: metrics.k8s.io, custom.metrics.k8s.io and
// external.metrics.k8s.io of the fleet. kubectl top and HorizontalPodAutoscalers read
// them. Nothing is kept: each request is one to every member concerned, at the same time.
//
//	metrics.k8s.io ─► upstream's handlers ─► Pods, Nodes ─┐
//	                                                      ├─► fanOut ─► members
//	custom.*, external.metrics.k8s.io ─► relay ───────────┘
//
// The API server installs it behind authentication, authorization and audit. In
// members it reads in its own name, as projections do.
//
//   - fanout.go: one question to several members, their answers, and Warnings about
//     those who gave none in two seconds. It fails when nobody answered, and for what
//     is added up when somebody who was asked did not. A member that did not answer in
//     time is left out for half a minute. An answer is bounded, and so are numbers in
//     it (countable.go): one that cannot be read is none.
//   - pods.go, nodes.go, table.go: metrics.k8s.io, under the names the fleet shows.
//   - relay.go, values.go: the other two groups. What is said of a Pod or Node is said of
//     the one the fleet shows; of any other object members' values are added up, since
//     the fleet's object is all of theirs. An external metric has a value of each member,
//     with the label fleet.dev/cluster, by which it can be selected; who reads them all
//     adds them up, as HorizontalPodAutoscalers do.
//   - install.go: the groups are in the discovery of the fleet while a member serves
//     them.
//
// # Giving way
//
// There is no APIService for these groups. One that somebody creates, the chart of
// metrics-server for example, is nobody else's: the aggregator asks it instead, in
// requests and discovery, until it is deleted.
package usage
