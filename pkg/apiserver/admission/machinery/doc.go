// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package machinery keeps webhooks from what the fleet writes to work at all:
// decisions, reports, signs of life, and the credentials and tunnels by which members
// are reached.
//
// In a cluster, a webhook for everything whose Pods are gone stops users, and not the
// kubelets' reports of what runs. In the fleet it would be asked about those as well:
// a decision that brings its own Pods back would wait for these Pods. What users write,
// policies and Clusters included, is theirs to admit, and policies in CEL, which need
// nobody to answer, see everything.
package machinery
