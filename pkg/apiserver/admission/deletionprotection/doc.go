// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package deletionprotection is the admission plugin DeletionProtection: it refuses
// to delete
//
//   - an object with the label fleet.dev/deletion-protected=Always, of any kind,
//     Clusters among them;
//   - a namespace that has such an object: its deletion would stop half way, at
//     that object, with the rest gone;
//   - a CustomResourceDefinition with such a custom resource: these are deleted
//     with their definition without being asked about.
//
// Nobody is exempt, the garbage collector and the namespace controller least of
// all. The way out is to remove the label. What cannot be looked into is not
// deleted.
package deletionprotection
