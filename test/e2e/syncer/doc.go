// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package syncer tests the syncer alone, against a real member: the fleet's API
// server runs in the process, nothing schedules, and each test decides by itself
// what goes to the member. The member's audit log says how many requests each
// behaviour costs.
package syncer
