// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package toolchain builds the programs a test bed runs: etcd, the Kubernetes
// control plane, kubectl, kwok, Helm 3 and 4, the bed's own netns, and fleet itself,
// all from Go modules, so that a machine needs nothing but Go.
//
// Versions are pinned by go.mod files and nowhere else: the kube programs and
// etcd by the repository's own module (they then share compiled packages with fleet),
// kwok, Helm and the control plane of an old release by the modules below hack/tools. A program is built when its
// file is missing or was built from another version than the pin; the binary's
// own build information tells, so there are no stamp files to go stale.
//
// The playground is the caller; tests only use what it built. Ensure holds a
// lock on the directory it fills, so concurrent callers wait for one build.
package toolchain
