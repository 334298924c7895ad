// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dialer connects the API server to the Pods behind Services of the fleet.
// Those Pods run in members, whose networks the API server is not part of.
//
// Admission webhooks, conversion webhooks and APIServices name a Service. Upstream
// resolves it to the Service's cluster IP and dials that; Dialer.DialContext takes
// the place of the network there:
//
//	webhook client ─► cluster IP ─► Service ─► members that have it
//	                                              │ EndpointSlices of one of them
//	                                              ▼
//	                  TLS end to end ◄─────── pods/portforward
//
// A member is asked for its EndpointSlices when it is dialed, and what it says is
// remembered for a few seconds. That is what its own kube-proxy goes by: Pods that
// are ready, whoever made them, and target ports that have a name. Nothing is
// watched for that, so a fleet without webhooks pays nothing.
//
// Members that are ready come first and those that failed lately last; within that
// each Service has an order of its own, so that one member answers for it as long as
// it can. When a member or a Pod cannot be reached the next is tried, within the same
// dial.
//
// Each connection has a port-forward of its own: streams that share one wait for one
// another when one is not read. It is upstream's clients that keep connections, and
// so the port-forwards, for further requests. A port-forward that does not answer
// pings is ended, which has its client dial anew.
//
// ProxyContext does the same for the subresource proxy of Pods and Services.
//
// Everything here is safe for concurrent use, and no lock is held over I/O.
package dialer
