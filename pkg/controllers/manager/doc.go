// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package manager runs the controllers of a fleet in one process: the stock
// controllers of Kubernetes that make sense without nodes of one's own, taken
// from k8s.io/kubernetes/pkg/controller unchanged, and the fleet's own from
// the sibling packages.
//
// It is wiring and nothing else: a table of constructors (controllers.go), the
// shared informers they read (informers.go), and the leader election around
// them (leader.go). Behaviour belongs to the controllers. It is called by
// cmd/controller-manager and by "fleet server"; neither flags nor signals are
// known here.
//
// # Memory
//
// The manager shares a process with the API server in the all-in-one, so it
// keeps little: one informer per resource for all controllers; only metadata
// for every resource that no controller reads in full (garbage collection and
// quota look at all of them); and informers drop managed fields, as well as the
// contents of Secrets and ConfigMaps that no controller reads.
//
// # Identity
//
// All controllers act as the one user of Config.RESTConfig, told apart by user
// agent. That user needs the upstream ClusterRoles of the controllers that run
// ("system:controller:...") and "system:kube-controller-manager".
//
// # Concurrency
//
// Run blocks until its context ends and every controller has returned, or until
// the shutdown timeout. A Manager runs once.
package manager
