// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package token makes, lists and deletes the bootstrap tokens with which clusters
// ask to join, and says the command in which a token is used: what "fleet token"
// does, without flags and printing. Package app calls it.
//
// The tokens are those of kubeadm: Secrets of type bootstrap.kubernetes.io/token
// in kube-system, which the stock controllers sign cluster-info with and remove
// when they expire. Group wellknown.GroupAgentBootstrappers makes one good for
// agents; tokens for anything else are neither listed nor deleted.
package token
