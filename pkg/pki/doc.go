// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki keeps the fleet's own certificates and keys under one directory.
//
// Ensure makes what is missing on the first start (three authorities' worth of
// material: the fleet CA, the front-proxy CA and the service-account signing
// key) and reuses it afterwards. Leaf certificates are issued anew when they
// are past two thirds of their life or do not name every address the server is
// told to serve; the authorities and the service-account key are never
// replaced, because members, kubeconfigs and tokens in the field trust them.
//
// Certificates and keys are written with kubeadm's helpers, so the layout is
// the one an administrator knows from /etc/kubernetes/pki. Private keys and
// kubeconfigs are mode 0600 in directories of mode 0700.
//
// The package is called by the API server before anything listens; it holds no
// state and starts nothing. Two processes must not run Ensure on the same
// directory at once: the caller holds the data directory's lock.
package pki
