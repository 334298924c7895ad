// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package console runs Pods for a user who sits in front of them: kubectl run --rm -it,
// in a member that is dialed and in one that dials out. kwok's own containers never end
// while somebody is attached. So each member gets a kubelet in front of kwok, which runs a
// shell for who attaches, by kwok's exec and as the user kwok runs commands as, and ends
// the Pod when the shell ends.
package console
