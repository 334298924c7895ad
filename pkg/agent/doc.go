// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package agent links a member in Pull mode to its fleet. It runs in the member,
// or beside it, and dials out only: to the fleet's API server and to the member's.
// cmd/syncer runs it with --mode pull; tests run many in one process.
//
// An Agent gets an identity from the fleet, keeps it fresh, and with it runs two
// things that are not its own: a syncer (package syncer) that serves this one
// member, and the member's end of the tunnel (package tunnel).
//
// # Identity
//
//	Secret fleet-system/fleet-agent
//	  bootstrap-kubeconfig     address and CA of the fleet, bootstrap token
//	     │ make a key, keep it
//	     ▼
//	  request, request.key     asked; waits until the fleet accepts the cluster
//	     │ approved and signed
//	     ▼
//	  tls.crt, tls.key         system:fleet:cluster:<name>; rotated for ever
//
// Each step is stored before the next, so an agent that is killed goes on with the
// same key and the same request (bootstrap.go). A request that is denied is logged
// with the fleet's reason, and made again ever more slowly. Nothing in here ends
// the process: what is missing is waited for, and said.
//
// The certificate is rotated by upstream's certificate.Manager, which asks for the
// next one after 70 to 90 % of the life of the current one, at random, so that
// agents that started together do not ask together. It proves itself with the
// current certificate, also when that has expired: the fleet takes one that has
// expired not too long ago for this one purpose.
//
// A new certificate ends no connection (transport.go). New requests go over new
// connections; watches, and streams in the tunnel, end on those they began on.
//
// # Leaving
//
// When the agent sees its Cluster deleted, in a watch event and after it saw the
// deletion begin, it takes back what was installed for it and Run
// returns ErrLeft. A Cluster that is merely not there, or a fleet that refuses the agent, changes nothing: the
// member keeps running and the agent keeps trying (removal.go).
//
// # Registering again
//
// "fleet register" replaces the Secret's content. The agent notices another
// bootstrap kubeconfig, or a certificate taken away, within half a minute and starts over.
package agent
