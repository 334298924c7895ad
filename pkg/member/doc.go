// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package member connects to members: one Connection each, with clients, the
// APIs the member serves, the schemas of these, and whether it answers at all.
// The syncer works through it. It knows nothing of works and keeps no copies of
// a member's objects.
//
// What differs between members in Push and in Pull mode is how they are reached.
// That is an Access: a function that returns the endpoint and the credentials of
// the moment. Everything else is the same. Subpackage fake has a Connection for
// tests.
//
// # Trade-offs
//
// Many members, most of them idle, share a process, so:
//
//   - There is no client-side rate limit. Priority and fairness in the member
//     and the number of workers per member are the limits; a limit of our own
//     would only be one more place to wait.
//   - What a member serves is found by discovery, aggregated where the member can
//     do that, and kept in a small map instead of a RESTMapper. It is looked at
//     again when CRDs or APIServices change, when a kind was not found, and every
//     ten minutes. A discovery that fails, in whole or for some versions, takes
//     nothing away from what is known.
//   - Schemas come from the member's OpenAPI v3 documents, fetched per API
//     version when first needed. They are large, and the same in all members of a
//     release: a Catalog shares them, and the lists of APIs, by hash, and lets
//     them go with their last user. The hash of a document is computed from its
//     content, so that no member can pass off its schema as another's.
//   - A kind without a published schema gets a deduced one, as in the API server.
//   - A token that changed is taken up by the next request. Anything else about
//     the way to a member that changed ends the connection with ErrMoved.
//
// # Health
//
// The member is asked for /readyz every ten seconds, and sooner when a request to
// it failed. When it has not answered before, or not been usable, it is also
// asked who it is: nothing is written to a cluster that is not the one the fleet
// joined. The time of a loss is that of its first failure. A lost member's
// connections are cut, because requests on them would hang until TCP gives up;
// Follow rests until the member is back.
//
// # Locks
//
// No lock is held over I/O. The clients are immutable; the APIs are an atomic
// pointer to an immutable value; the token is an atomic pointer; health,
// connectivity and documents each have a lock of their own that guards their
// fields and nothing else.
package member
