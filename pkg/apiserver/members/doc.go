// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package members is how the API server gets to members: for requests that are
// proxied to one, in the name of their user. It keeps no copies of members'
// objects, and never uses the rights of the syncer or the agent.
//
//   - A member in Push mode is dialed, at the endpoint and through the proxy in
//     its Cluster, with the token of spec.impersonatorSecretRef, which may
//     impersonate and nothing else (push.go).
//   - A member in Pull mode is reached through the tunnel its agent opened
//     (package tunnel); the agent refuses what does not impersonate a user.
//   - When several API servers share an etcd, the one without the tunnel of a
//     member passes the request on to the one that has it (peers.go), which
//     authorizes and audits it again.
//
// The Cluster is read with each request, so a change of endpoint or mode is seen
// at once. A Secret is read again every
// ten seconds while it is used, and when the member refuses its token.
//
// # Locks
//
// Members has one lock around its map of connections, and peers one around what
// they last answered; neither is held over I/O.
package members
