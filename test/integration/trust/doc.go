// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trust tests how clusters in Pull mode get into the fleet and what their
// agents may do there: a real API server and controller manager in the process,
// and agents that are nothing but a certificate and what an attacker would try
// with it.
package trust
