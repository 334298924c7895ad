// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package clusterrestriction is the admission plugin ClusterRestriction, in the
// way of Kubernetes' NodeRestriction: it looks at what the agents of members
// write, where their authorizer (package agentauth) sees only the names.
//
//   - A lease is the member's own and has no finalizers or owners, which would
//     hold back the removal of the member or have it removed.
//   - A status leaves alone the conditions that controllers write.
//   - A CertificateSigningRequest is of the shape of package identity and asks for
//     the identity that the agent has already.
//
// Who has a bootstrap token for agents is held to the same shape of request, and
// to asking for the key as whose registration it is to count.
package clusterrestriction
