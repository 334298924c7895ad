// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package orphanintent is the admission plugin OrphanIntent: it makes sure that
// "kubectl delete --cascade=orphan" leaves the objects of members running.
//
// Such a deletion gives the template the finalizer "orphan", which the garbage
// collector takes off when it has let go of the dependents in the fleet. While the
// template has the finalizer, the wish is recorded in it. The update that takes it
// off is admitted only after the wish is recorded in the binding (annotation
// wellknown.AnnotationOrphanedTemplate), from which the binding's strategy makes
// tombstones that release. So at any moment one of the two says it, whatever
// process is down, and the scheduler need not see the template in between. If the
// update fails after that, it is tried again, and says the same.
//
// A deletion with another propagation policy, sent while the first one waits,
// takes the finalizer off without an update: the user thought better of it, and
// nothing is recorded.
package orphanintent
