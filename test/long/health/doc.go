// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package health asks programs that wait for objects, or judge their health, about
// every kind of object with a status, in situations that occur: kubectl, Helm 3 and 4,
// kstatus and Argo CD's gitops-engine. They are asked about the fleet and, in the same
// run, about a plain cluster in the same situation, and have to say the same. What they
// say is docs/health-matrix.md, which the test writes with -update and compares with
// otherwise.
//
// testdata/matrix.yaml has kinds and situations. A fleet of two members of one node
// each stands beside a cluster of two nodes, so that all numbers are the same. Where a
// member is lost in the fleet, a node is lost in the cluster.
package health
