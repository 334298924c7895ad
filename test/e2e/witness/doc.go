// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package witness counts what really happened: changes in an etcd, writes in an
// API server's audit log, requests in its metrics, memory and CPU time of a
// process. The end-to-end tests assert with it ("a second apply writes nothing to
// the members") and the benchmarks report with it.
//
// Everything here observes from outside, by the means an administrator has, and
// changes nothing. An etcd is read directly, so that what the API server does not
// tell is seen, too.
//
// Audit logs are exact: the log backend writes an entry before the request is
// answered. Metrics are as exact as the API server's own counters.
package witness
