// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package managers has others write to the fleet's objects in a real member for ten
// minutes: one adds fields of its own by server-side apply, one changes fields of its own
// and now and then one of the fleet's, and the member's HorizontalPodAutoscaler scales
// by a metric that the test serves. The member's audit log says who wrote how often:
// nobody may write because another did, but the fleet, once for each of its fields that
// was changed.
package managers
