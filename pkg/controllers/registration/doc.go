// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package registration is the controller that lets clusters in Pull mode into
// the fleet. It decides on every pending CertificateSigningRequest that asks for
// the certificate of a member (package identity), and on no other; the stock
// signer signs what it approves.
//
//	              name unknown ───────────────► Cluster is created, with id and key
//	             ╱                                         │
//	first request  name, id known, same key ─── not accepted: waits ◄─┐
//	(bootstrap   ╲                         ╲                          │ fleet accept
//	 token)       ╲                         ─── accepted: approved    │
//	               name, id known, other key ── waits ────────────────┘
//	               other id, id under another name, mode Push ── denied
//
//	renewal (the agent itself) ─ id and registration as in the Cluster: approved
//
// A token that accepts clusters by itself does so only for names that are
// unknown: a Cluster that waits, or that an administrator has cut off, stays so,
// and no token replaces the key of a member.
//
// Of a Cluster it writes the first version (name, mode, id, key, accepted) and
// the condition Accepted, which says whether somebody waits and what to do about
// it. It works on informers, one name at a time, and writes nothing when nothing
// changed. It is run by package manager.
package registration
