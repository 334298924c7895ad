// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package packing compares what the fleet's scheduler takes to fit with what the
// kube-schedulers of real members make of it.
//
// Workloads of random shape come and go in a fleet over three members whose nodes
// are almost full. A workload is divided by capacity, so what does not fit waits in
// the fleet. Then no Pod may wait in a member: each that does is a miss. To be sure
// that nothing is left waiting in the fleet without need, a packer that sees every
// node and Pod of every member says what would fit.
package packing
