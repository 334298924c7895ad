// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command netns gives a member of a test bed a network of its own, from which it
// can dial out and into which nobody can dial: what a firewall in front of a
// cluster does. It needs neither root nor tools that configure networks.
//
//	netns hold [-out PORT=SOCKET]... [-in SOCKET=PORT]...
//	netns forward -from NETWORK:ADDRESS -to NETWORK:ADDRESS
//	netns exec [-parent PID] PROGRAM [ARG]...
//
// A network namespace lives as long as a process in it. That is "netns hold",
// which its starter puts into a new namespace. It brings up the loopback interface,
// the only one there is. Unix sockets with a path belong to the file system and so
// cross the border: with -out, a connection to a port inside goes on to a socket,
// with -in, one to a socket goes on to a port inside. Outside, "netns forward"
// processes connect the sockets with ports of the machine, one process for each
// purpose, so that one can be stopped alone: a stopped one lets connections stall
// in both directions, old and new ones, and resets none.
//
// "netns exec" is what nsenter runs inside: it makes sure that the program dies
// with its starter, which entering a user namespace would undo, and becomes it.
package main
