// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clusteracceptance is the admission plugin ClusterAcceptance: to trust
// the agent of a member takes the verb accept on its Cluster, and not only the
// right to write it. Trust is given by
//
//   - spec.accepted becoming true, also in a new Cluster;
//   - spec.id or spec.syncMode changing while it is true;
//   - the annotation wellknown.AnnotationRegistrationKey changing, whether or not
//     the Cluster is accepted: who accepts it later accepts the key.
//
// Taking trust away takes no more than writing. The one who asks is authorized
// like in any request, with the name of the Cluster.
package clusteracceptance
