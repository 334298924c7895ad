// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package perf measures a fleet over two real members against writing to the
// members directly, in one run, and reports the ratios beside the targets of the
// design. Run it with "make bench"; it writes _run/bench/bench.json and bench.md.
//
// Both ways (see way) do the same with the same client: server-side apply of a
// Deployment, observed by watches on the members. They take turns, workload by
// workload or batch by batch, in the order ABBA, so that a slow moment of the
// machine hits both. Absolute numbers are worth nothing elsewhere; ratios and
// counts are.
//
// Neither the members' etcd nor, here, the fleet's waits for the disk, so that the
// ways differ in work and not in disks.
//
// Lists of many Pods, and commands in Pods, are measured apart (pods.json, pods.md), and
// so are agents of members in Pull mode (agents.json, agents.md): many of
// them, with simulated members, against one server.
//
// A benchmark reports and does not judge: it fails only when it cannot measure.
package perf
