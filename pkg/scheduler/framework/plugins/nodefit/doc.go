// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nodefit looks at the nodes of members: it keeps Pods off members where no
// node would take them, and prefers members with room.
package nodefit
