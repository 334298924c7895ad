// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package autoscaling has the fleet's HorizontalPodAutoscaler scale a Deployment over two
// real members, one of which dials out, by what its Pods use: kwok simulates that, by an
// annotation of each Pod, a real metrics-server in each member measures it, and the fleet
// asks both. The load is one number that the Pods share. When it stays as it is nobody
// writes anything, to the fleet's etcd or to members. Then a Node is drained that a
// PodDisruptionBudget over both members protects.
//
// Two more Deployments are scaled by custom and by external metrics, from an adapter in each
// member that is made of the library of all adapters.
//
// The first run builds metrics-server and the adapter, which takes some minutes.
package autoscaling
