// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package placementpreview is the admission plugin PlacementPreview: it answers
// "kubectl create|apply --dry-run=server" with a warning that tells where the object
// would be placed, or why it would not.
//
// It decides with the code of the scheduler and its default configuration, on what
// the API server knows of members, policies and bindings. Requests that are no dry
// runs pass it by; dry runs are never refused by it, and wait for it two seconds at
// most.
//
// What it reads is watched from the first dry run on, and not any more after ten
// minutes without one (fleet.go): most servers never see one, and those that do not
// pay nothing. Bindings are not watched but read, those of the namespace in question.
//
// The warning names members and policies. Who may create an object may so learn of
// those it would have to do with, which its status tells in any case.
package placementpreview
