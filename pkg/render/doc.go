// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package render makes works: what one template becomes in one member under
// one binding. It is the f in work = f(template, binding).
//
// It is pure: objects in, objects out, no clients, no clock, no global state.
// The same input gives the same bytes on every server and after every restart;
// pkg/derived relies on that to tell a change from a repetition, and syncers
// name the bytes by their content hash.
//
// A manifest is made in this order:
//
//  1. strip   what the fleet's API server allocated or keeps for itself, by the
//     table in strip.go;
//  2. hash    the Pod template, before anything is different per member;
//  3. replicas of the member, from the binding, and its part of what is about all
//     replicas: numbers of Pods, completions, bounds of rolling updates;
//  4. nodes   that are named as in the fleet, <node>.<member>, are named as there;
//  5. overrides of the binding that name the member, in their order;
//  6. stamp   the hash into the Pod template, and on the object the fleet id and
//     where it comes from, last so that no override can remove it.
//
// A member with a tombstone gets the tombstone work and nothing else, until
// feedback removed the tombstone from the binding.
//
// The package does not decide which members get a work (the scheduler does),
// does not know older members' schemas (the syncer prunes) and does not read
// status. pkg/derived calls it for every change of a template or a binding;
// dry runs may call it with objects that are not stored. Nothing here is
// shared between calls, so all of it is safe for concurrent use; arguments are
// read, never written, and results share no memory with them.
package render
