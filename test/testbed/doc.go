// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testbed runs real member clusters, and a fleet over them, as plain
// processes of this machine: no containers, no privileges. The playground
// (hack/playground), the end-to-end tests and the benchmarks all use it.
//
// # What runs
//
// A Bed owns one directory. In it run one etcd, shared by the members under a
// key prefix each, and per Member a kube-apiserver, a kube-controller-manager, a
// kube-scheduler and kwok, which plays the kubelets of the member's nodes. Every
// member has a certificate authority and service account keys of its own. A Fleet
// is a "fleet server" process with its own embedded etcd. The programs come from
// the toolchain package.
//
// A member with MemberConfig.DialsOut lives in a network namespace of its own, as
// behind a firewall: its processes, the fleet's agent among them, reach the fleet's
// port and nothing else, and nothing outside reaches them. Member.Link cuts that
// way, heals it or breaks what is open, which affects nothing else: etcd is
// reached through a Unix socket, and tests by the port in the member's
// kubeconfig, each by means of their own. See command netns, which needs nsenter of
// util-linux and no privileges.
//
//	<dir>/state.json                what runs: ports, pids, start times
//	<dir>/<member>.kubeconfig       administrator of a member
//	<dir>/fleet.kubeconfig          administrator of the fleet
//	<dir>/logs/<process>.log
//	<dir>/{etcd,<member>,fleet}/    data, keys, configuration
//	<dir>/<member>/net/             ways across the border of its network
//	<dir>/etcd.sock                 etcd, for members in networks of their own
//
// # What it is not
//
// Pods are not run: kwok ends, fails and readies them as their commands say (see
// kwok/*.yaml). etcd does not fsync and speaks plain HTTP on 127.0.0.1, so a bed
// is for development and tests on a machine whose users trust each other.
//
// # Lifetimes
//
// Processes of a bed die with the program that started them, however it ends,
// unless Config.Detached is set; then they survive it, and the next Open of the
// directory adopts them. A process is known by pid and start time, so that a pid
// used again by a stranger is never signalled. Everything is idempotent: starting
// starts what is missing, stopping stops what is there. Open holds a lock on the
// directory until Close, so two programs never manage the same bed.
//
// Methods are safe for concurrent use. The package needs Linux.
package testbed
