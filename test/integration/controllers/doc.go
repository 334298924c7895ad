// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers tests the fleet's controller manager against a fleet API
// server: that the stock controllers work there, with the rights the server
// gives them, and that a member leaves as it should.
package controllers
