// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package join takes clusters into a fleet and out of it: what "fleet join" and
// "fleet unjoin" do, on both sides, without flags and printing. Package app
// calls it.
//
// # In the member
//
// Grant makes two ServiceAccounts in namespace fleet-system, each with a token in
// a Secret of its own:
//
//   - fleet-syncer, by which the syncer applies what users store in the fleet.
//   - fleet-impersonator, by which requests that users send to the member through
//     the fleet are sent as these users. The syncer's token is never used for that.
//
// All of it, and the namespace if it was made here, is owned by ClusterRole
// fleet-syncer, so that Revoke is one call that needs no right it takes away, and
// leaves nothing behind.
//
// # What the accounts may do
//
// This is the whole of it (rules.go):
//
//	account             where         what                                      verbs
//	fleet-syncer        everywhere    objects of every kind                     get list watch create update patch delete
//	                    everywhere    roles, clusterroles                       escalate bind
//	                    everywhere    paths that are no objects (discovery)     get
//	                    fleet-system  secrets (its tokens)                      get list create delete
//	fleet-impersonator  everywhere    users, groups, serviceaccounts, uids, userextras   impersonate
//
// Objects of every kind, because users of a fleet store any kind; escalate and
// bind, because Kubernetes lets nobody else apply a role with more rights than his
// own, and roles are among what they store. The syncer cannot impersonate, approve
// certificates, or use any other verb with a meaning of its own.
//
// "fleet join --rbac ROLE" narrows that: the syncer is then bound to ROLE, an
// existing ClusterRole of the member, for what the fleet manages. What the fleet
// is to manage and ROLE does not allow is reported in the works' status. Beside
// ROLE the syncer has, to do its work at all:
//
//	everywhere    namespaces, nodes, pods, customresourcedefinitions, apiservices   get list watch
//	everywhere    clusterrole fleet-syncer                                          get delete
//	everywhere    paths that are no objects                                         get
//	fleet-system  secrets                                                           get list create delete
//
// # In the fleet
//
// Register makes the namespace fleet-cluster-<name>, in it Secrets <name> and
// <name>-impersonator with the tokens, which the syncer may read there and nowhere
// else, and the Cluster. The syncer rotates the tokens (package syncer,
// credentials.go). Joining again renews all of it, also for members that joined
// when there was one account that could do everything; nothing else that users
// wrote to the Cluster is touched.
//
// A member belongs to one fleet and has one name there: Check and Grant refuse a
// second.
package join
