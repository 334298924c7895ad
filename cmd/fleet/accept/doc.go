// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package accept lets an administrator accept a cluster that asked to join by
// itself: what "fleet accept" does, without flags and printing. Package app calls
// it.
//
// Accepting is one write of the Cluster: it says that the member is accepted, and
// which key is. It takes the verb accept on the Cluster. Everything issued for
// another key before is worth nothing from then on.
package accept
