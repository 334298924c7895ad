// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhook tests charts whose webhooks, conversion webhooks and APIServices
// the fleet calls: a chart that has them all is installed on a fleet of two members,
// one of which can only dial out, and its Pods run in both.
//
// What runs in the Pods is a server in the test process, one for each member
// (server_test.go). A port-forward to a Pod of a member runs this test's program
// again, as a relay between its input and output and the server's socket; a Unix
// socket, since one member is in a network of its own.
package webhook
