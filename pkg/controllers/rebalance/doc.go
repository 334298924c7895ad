// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package rebalance is the controller of WorkloadRebalancers: it asks the scheduler
// to decide anew about workloads, and tells what became of each.
//
//	no result ──► rescheduleTriggeredAt of the binding is set ──► scheduler decides ──► Successful
//	    │                                                              └──────────────► Failed, with its reason
//	    └──► no binding, or its scheduling is suspended: Failed
//
// A workload is asked about once, when it is first seen in the spec; its entry in
// the status says that it was. A crash between the two writes asks a second time,
// which does no harm. When all have a result the WorkloadRebalancer is finished,
// and ttlSecondsAfterFinished later it is deleted. What a result says is not
// changed any more, though a workload that could not be placed is placed when it can be.
//
// It writes the status of WorkloadRebalancers and that one field of bindings,
// which others may write too. It works on informers, writes nothing when nothing
// changed, and is run by package manager.
package rebalance
