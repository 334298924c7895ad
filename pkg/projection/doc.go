// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package projection shows objects of members, such as the Pods they made of the
// fleet's workloads, among the objects stored in the fleet: under their native
// kinds, on the main endpoint, without storing them.
//
// Projections.Wrap puts a storage.Interface of ours under upstream's Cacher and
// registry for each projected kind. Selectors, tables, pages, WatchList,
// bookmarks, validation and admission are upstream's. docs/decisions/0008 says
// why it is as it is.
//
//		registry ─► served ─► Cacher ─► unionStorage ─► ledger ◄─ union ◄─┬─ follower ─► etcd
//		              │                     │                            └─ link ─────► member
//		              └─ surface: who needs members?      └─ writer ─────────────────► member
//
//	  - union.go, claims.go: everything of a kind, in one order, under names that
//	    follow from what exists.
//	  - version.go: resource versions of what is partly stored and partly not.
//	  - stored.go: what etcd has. follow.go: what a member has.
//	  - surface.go, served.go: members are followed while somebody needs them; lists
//	    say with a Warning which members do not answer, and never fail for one.
//	  - write.go: updates and deletions become requests to the member.
//	  - lost.go: what members have that nobody hears from is shown as what may be gone.
//	  - merged.go: what members have under one name may be one object.
//	  - copies.go: what members made of stored objects, which shows in those.
//	  - bounds.go: what a member may not say.
//	  - kind.go, and a file for each kind, such as pods.go: what of it is shown, and as
//	    what. Pure.
//
// Logs, exec, attach and port-forward: kubelet.go stands in for the kubelets that
// upstream's subresources of Pods dial.
//
// # Guarantees
//
// A watch gets every change once and in order, and may be resumed at the same
// server. From another server, or after a restart, it expires (410) and the
// client lists again. A member's restart, or a broken connection, is no event: what
// is different afterwards is. A change made through the fleet is seen by the next
// read of the one who made it.
//
// Reads of stored objects are as consistent as ever. Members are as fresh as their
// watches; a list does not ask them.
//
// # Who may do what
//
// Requests are authorized in the fleet. In members the API server acts as one
// user (see Members), who has to have the right to get, list, watch, patch and
// delete what is projected, and to patch its status.
//
// The fleet's controller manager sees what is stored only, and changes nothing in
// members: garbage collection and the deletion of namespaces leave to them what is
// theirs. A namespace is gone when its members confirmed that the workloads in it
// are; their last Pods may end a little later.
//
// # Concurrency
//
// One lock orders all changes of a kind (union.mu); nothing is sent or waited for
// under it. Objects are immutable once they are in the ledger, and shared with
// the Cacher. Each member and kind has a goroutine of its own, a reflector; a slow
// member delays nobody else.
//
// # Limits
//
// An etcd restored to an older revision is noticed only when it is listed again;
// the API server has to be restarted. An object's resource version is not the
// same on two servers, so an update through the other one may have to be tried
// again.
package projection
