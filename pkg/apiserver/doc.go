// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apiserver builds and runs the fleet's API server.
//
// It is kube-apiserver assembled as a library: an aggregator in front of the
// native groups (upstream's own registries, validation, defaulting, server-side
// apply and admission), the fleet's groups beside them, and
// CustomResourceDefinitions behind. What is ours:
//
//   - Options: kube-apiserver's flags, plus a data directory. A first start makes
//     certificates and kubeconfigs there (package pki) and, without
//     --etcd-servers, an etcd of its own.
//   - Admission without what assumes kubelets here (admission.go).
//   - Storage options wrapped by package derived, so that works are rendered and
//     not stored.
//   - Bootstrap objects: RBAC for the fleet's components and the default policy.
//
// The way through is Options → Complete → Validate → New → Run; each step
// returns a value that only the step before can make. A Server owns its
// embedded etcd: Run returns only after requests are drained and etcd is closed.
//
// It runs no controller over templates, and connects to members for requests that
// users send to one of them (package members), for nothing else.
package apiserver
