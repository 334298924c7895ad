// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package syncer carries works to members and brings the truth back. It is the
// only part of the fleet that writes to members.
//
// A Syncer keeps one session for each Cluster it serves. Beside the fleet it
// serves all in Push mode: cmd/syncer runs one in a process of its own, the
// all-in-one server runs one beside the rest. In a member in Pull mode the agent
// (package agent) runs one for that member alone. The two differ in Members,
// members.go, and in nothing else. It
// meets the other parts through API objects alone: it reads Clusters and the
// works in the namespace fleet-cluster-<name>, and writes feedback, the
// Cluster's status and its lease. It decides nothing about placement and knows
// nothing of templates but what a work says.
//
// # A look at a work
//
// Everything that may call for action has the name of a work put in the
// session's queue: the work changed, its object in the member changed, the
// member came back, the member serves new kinds, or a delay is over. One of a
// bounded number of workers then looks at it, top-down, in session.look:
//
//	work gone       → forget it; the member's object stays as it is
//	suspended       → report what is there
//	tombstone       → prune.go: let the one object go that came from that template
//	anything else   → propagate.go: make the object as the manifest says
//
// and what became of it goes to the reporter (collect.go), which sends the latest
// report of each work in batches. An error is data: an outcome with a reason, the
// member's words, and when to try again.
//
// # No-op means no call
//
// The objects of the fleet in a member are mirrored (mirror.go, observers.go),
// one reflector per kind that has works, selected by the label
// fleet.dev/managed-by=<fleet id>, each object cut down to what is needed
// (observed.go). A look compares the mirrored object with the manifest by the
// member's schema (compare.go): it applies when a desired field is missing or has
// another value, or when server-side apply holds a field for us that is no longer
// desired. Fields only the member has are nobody's business here. A fingerprint
// of the object without its status spares even the comparison when only the
// status changed.
//
// What still differs right after an apply the member normalised; it is accepted
// until either side changes, so that the two never ping-pong. So that a restart
// does not send all that again, the object carries the content hash it was applied
// with: under the same hash, fields the member filled into a value that only
// counts as a whole are no difference to a new process. When another writer
// keeps undoing what is applied, corrections become rarer, up to five minutes
// apart, and the dispute is reported, field by field.
//
// The number of replicas that an autoscaler of the member set last stays until the
// fleet wants another (autoscaled.go). Fields that the member does not know are left
// out, and told, as are those it takes and drops.
//
// # What the member refuses
//
// Its words are the report (outcome.go). The same is not sent again before its time,
// however often the object changes meanwhile (refusal.go), and works that the member is
// slow to refuse take half of the workers at most (lane.go). What cannot be changed
// because a field is immutable is reported with what to do, and deleted and created
// anew only where the policy of its template says so (immutable.go).
//
// A workload that ran before the fleet took it over keeps its Pods: the stamp in
// its Pod template is left out until the template changes (stamp.go).
//
// # Nothing is deleted by accident
//
// What carries the mark of the fleet and has no work is looked for from time to
// time and told of on the Cluster (unknown.go). Only a tombstone deletes, and a
// policy that says to recreate what is immutable; only an object that carries this fleet's id and the
// uid of the tombstone's template, and only with that object's uid as a
// precondition. A work that vanishes, an empty list, a new or restored etcd
// delete nothing. Namespaces are shared; only those the fleet created are
// deleted, after everything with a work in them, and only when nothing of others is
// there (contents.go). One that no work is about goes with the last object of the
// fleet in it, whose tombstone is confirmed after that (occupants.go). That there is no object is confirmed only by an answer of the
// member: a kind it does not serve for a moment may have objects. An object that was there before and was adopted as it was carries
// fleet.dev/adopted and is released instead: it may hold what the fleet never
// knew of. What the fleet created and releases keeps fleet.dev/created-by, so
// that a member that joins again gives it back.
//
// # Owners
//
// What owns a template in the fleet owns its object in the member, if it is there
// (owners.go): a manifest names templates, the object is given the uids of their
// objects. The member's garbage collector deletes what lost its owner, so an object is
// deleted only when what belongs to it, and is to stay, does not refer to it any more.
//
// # Locks
//
// A work is looked at by one worker at a time (the queue sees to that), which
// alone uses its record, but for two fields that the session's lock guards. The
// locks of session, mirrors, observers and reporter guard maps and are never held
// over a call.
package syncer
