// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package foreground is the admission plugin ForegroundDeletion: it has "kubectl delete
// --cascade=foreground" wait for the members.
//
// Such a deletion gives the template the finalizer foregroundDeletion and returns.
// The scheduler takes the template out of its members, and the garbage collector
// takes the finalizer off when nothing in the fleet depends on the template any more.
// That update is refused while the binding has members or tombstones: they are what
// the template is waited for.
//
// The garbage collector tries again ever more rarely. So that the template goes when the
// last member has confirmed, however long that took, the refusal is recorded in the
// binding (annotation wellknown.AnnotationForegroundTemplate): nothing but members is
// waited for. When the binding goes, package controllers/foreground takes the
// finalizer off.
//
// Only the garbage collector is held back. Who takes the finalizer off by hand, or
// deletes again with another propagation policy, does not want to wait; members are
// cleaned all the same. Nor does the controller that deletes finished Jobs when their
// time is over, though it deletes in the foreground.
package foreground
