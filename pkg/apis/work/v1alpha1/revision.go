// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// WorkPlaceBits is how many bits of the resourceVersion of a Work are its place
// inside of an etcd revision. The rest, 43 bits of a positive int64, is the
// revision: enough for a thousand writes per second for two centuries.
const WorkPlaceBits = 20

// RevisionOfWork is the etcd revision in the resourceVersion of a Work: that of its
// template or of its binding, whichever changed last.
func RevisionOfWork(resourceVersion uint64) uint64 { return resourceVersion >> WorkPlaceBits }
