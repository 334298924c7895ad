// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pods is the controller that ends the graceful deletion of Pods that are
// stored in the fleet, as the kubelet does in a cluster: a bare Pod that runs in a
// member is there, with a deletionTimestamp, until the member has ended it.
//
// The scheduler takes a Pod with a deletionTimestamp out of its members. When they
// confirmed, its binding goes, and this controller deletes the Pod for good. It does so
// too when none of the members that have yet to confirm answers: the binding keeps what
// they are to do, and nobody waits for them.
//
// It works on informers, of which that of Pods is to have stored ones only, and is
// run by package manager. It writes once for each Pod that was deleted gracefully.
package pods
