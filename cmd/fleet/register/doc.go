// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package register lets a cluster ask to join a fleet in Pull mode: it finds out
// whom to trust, and installs the agent. The commands "fleet register" and "fleet
// agent manifest" are thin covers of it.
//
// Trust is found as "kubeadm join" does it. The address is the user's; the CA
// comes from ConfigMap kube-public/cluster-info, which anybody may read and nobody
// has to believe: it must be signed with the bootstrap token, its CA must have the
// hash the user gave, and the server must then prove itself with that CA. The token
// leaves this process only after that.
//
// The installation is a list of objects (objects.go), printed or applied. The
// ClusterRole owns the rest, so that deleting it removes the agent; install says so
// to each object, and an agent that was installed from a manifest does it itself.
//
// Registering again replaces the agent's credentials: a new key then waits for
// acceptance. A cluster that belongs to another fleet, or to this one under another
// name, or in Push mode, is refused before anything is written.
package register
