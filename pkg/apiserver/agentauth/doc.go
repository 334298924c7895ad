// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agentauth decides for the API server who the agents of members in Pull
// mode are and what they may do, in the way of Kubernetes' node authorizer.
//
//   - Authenticator turns an agent's client certificate into a user, and one that
//     has run out into a user who may only ask for the next.
//   - Authorizer stands in front of all others and decides finally about agents: no
//     role binding can give them more. It allows what is in the tables of rules.go
//     while the Cluster exists, is in mode Pull and accepted, and has the id and the
//     registration of the certificate.
//   - Sessions ends what an agent has open, such as a watch of works, the moment
//     that stops being so; when the Cluster is gone, a few seconds later, so that
//     the agent gets to know.
//   - Clusters is the cache behind the three. It is also what admission looks up
//     ids in.
//
// What a request contains, other than its name, the authorizer does not see:
// admission plugin ClusterRestriction looks at that.
//
// Everything here is safe for concurrent use and keeps no state beyond the cache
// and the open sessions.
package agentauth
