// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package place says where a member is: provider, region and zones. Whoever
// selects or spreads by these asks here, so that what an administrator said and
// what was observed are weighed the same everywhere. It is pure.
package place
