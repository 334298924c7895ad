// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scheduler decides which members run what: for every template in the
// fleet it keeps one binding that says so.
//
// The life of a decision:
//
//	source, policies, members ──events──► queue ──► scheduleOne ──► commit
//	                                        ▲            │             │
//	                                        │          cache ◄──────── ┘ (binding written)
//	                                        └── other templates that depend on it
//
// One goroutine decides, template by template, on what is in memory and never
// waits for the API server (schedule_one.go); others write the decisions
// (commit.go). A decision is assumed in the cache at once, so the next one
// counts with it. What a decision is made of is pure: package policy finds the
// policy, package strategy says how to place, the plugins of the framework choose
// and divide.
//
// # What is written
//
// One write per decision that changes something, none otherwise: an update is a
// patch of the fields that differ, under the condition that the generation is the
// one decided upon, so that status written meanwhile is no conflict. The status
// is written when a template cannot be placed, and when it turns out that it is
// placed well after all; that members were chosen the server records in the
// write that chooses them. The scheduler is the only
// writer of what it decides; rescheduleTriggeredAt, suspension.scheduling and
// tombstones of a binding are others'. Others may make
// gracefulEvictionTasks too; they end here.
//
// # What is never done
//
//   - A decision that fails leaves every placement as it is.
//   - A workload that moves is not taken off its old member before the new one
//     runs it (evictions.go).
//   - Nothing is taken off a member because the member is down, does not list an
//     API for a while, got a taint or lost its workloads. What is on a member that
//     is being unjoined is for the cluster controller, which knows whether to
//     delete it.
//   - A template that is missing from memory is not gone: its members are
//     released only after the fleet itself answered that it does not exist.
package scheduler
