// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tunnel carries requests from the fleet to members that can only dial
// out. The agent of a member opens one connection to the fleet's API server and
// upgrades it (clusters/NAME/tunnel, HTTP/1.1); streams that the API server opens
// over it reach the API server of the member.
//
//	API server                                 agent in the member
//	Registry.Serve     ◄── POST, Upgrade ──    Agent.Run
//	Registry.Transport ── stream, HTTP/1.1 ──► NewMemberHandler ──► member
//
// The multiplexer is yamux. Each stream has a window of its own, so one that
// nobody reads holds up nobody else. Only the API server opens streams; an agent
// that does is cut off.
//
// # Loss
//
// Each side asks the other every ten seconds whether it is there, and closes the
// tunnel when nothing at all came for twenty: a peer that vanished without a word
// is noticed within half a minute. A link that is merely full still delivers
// something and is kept. The agent connects again after a random time between
// half a second and a second, which doubles with every failure up to fifteen.
//
// A newer tunnel of a cluster takes the place of the older one at once. The older
// one ends when its last stream does, so a certificate can be changed under a
// running exec.
//
// # Trust
//
// Who may open a tunnel is decided before Serve: by authentication, authorization
// and the registry of clusters/tunnel. A tunnel ends with the certificate it was
// opened with, with the context of its request, which ends when the agent is not
// trusted any more, and with the process. On the other end
// NewMemberHandler refuses requests that do not impersonate a user, so that the
// fleet never acts in a member with the agent's own rights.
//
// # Locks
//
// A Registry has one lock around its map and a tunnel one around its count of
// streams; neither is held over I/O.
package tunnel
