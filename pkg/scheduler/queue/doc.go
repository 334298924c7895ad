// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package queue holds the templates the scheduler has to decide about.
//
//	         Add                 Get
//	event ---------> active ------------> in flight --- Done --->
//	                  ^  ^                  |    |
//	        Wake(event)  +---- backoff <----+    |
//	                  |         AddAfterFailure  |
//	                waiting <--------------------+
//	                              Park
//
// What holds:
//
//   - A template is in flight once at a time. One that is added meanwhile comes
//     again after Done.
//   - Get returns the template of the highest priority, the longest waiting one
//     among equals.
//   - A template waits for events by kind of event and by Interest, which says for
//     all templates that share it whether a member matters to them; waking costs
//     nothing for those that wait for other events or care for other members. It
//     may be waiting and active both; deciding about it ends the wait.
//   - No event is lost between Get and Park: one that a decision came too early to
//     see, and that the template then waits for, has it decided about again.
//
// Deduplication, delays and backoff are those of client-go's workqueue. A Queue is
// safe for concurrent use.
package queue
