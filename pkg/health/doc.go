// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package health judges one member's object: Healthy, Unhealthy or Unknown.
//
// It is pure: an object in, a verdict and a sentence out; no clients, no clock,
// no state, safe for concurrent use. Syncers call it on each object they
// observe, and the verdict travels in the feedback to the binding.
//
// The rules are those of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus/status):
// first what holds for every kind (deletion, observedGeneration, the Reconciling
// and Stalled conditions), then a row per kind, then a Ready condition if there
// is one, and otherwise the object is what it should be. Three things differ,
// because kstatus answers "may a waiter go on?" and health answers "does it do
// its job?":
//
//   - an object whose newest generation its controller has not looked at is
//     Unknown, not in progress;
//   - a failed Pod is Unhealthy, and so is a Service of type LoadBalancer
//     that has no address;
//   - a Job is Healthy while it is suspended on purpose.
package health
