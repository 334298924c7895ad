// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
)

// endpoint is an address of package net with its network.
type endpoint struct{ network, address string }

// loopbackPort is a TCP port of this machine, or of the namespace.
func loopbackPort(port string) endpoint {
	return endpoint{"tcp", net.JoinHostPort("127.0.0.1", port)}
}

// String implements flag.Value.
func (e *endpoint) String() string { return e.network + ":" + e.address }

// Set implements flag.Value.
func (e *endpoint) Set(value string) error {
	network, address, _ := strings.Cut(value, ":")
	if (network != "unix" && network != "tcp") || address == "" {
		return fmt.Errorf("%q is neither unix:PATH nor tcp:HOST:PORT", value)
	}
	e.network, e.address = network, address
	return nil
}

// route says where connections come from and where they go.
type route struct{ from, to endpoint }

// forwarder carries the connections of one route.
type forwarder struct {
	listener net.Listener
	to       endpoint
}

// listen begins to listen for a route. A socket that a dead process left is replaced.
func listen(ctx context.Context, r route) (*forwarder, error) {
	if r.from.network == "unix" {
		if err := os.Remove(r.from.address); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, r.from.network, r.from.address)
	if err != nil {
		return nil, fmt.Errorf("forward to %s: %w", &r.to, err)
	}
	return &forwarder{listener: listener, to: r.to}, nil
}

// run forwards until ctx ends.
func (f *forwarder) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { _ = f.listener.Close() })()
	var group sync.WaitGroup
	defer group.Wait()
	for {
		near, err := f.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the client was faster to give up
		}
		group.Go(func() { f.carry(ctx, near) })
	}
}

// stream is a connection either side of which can be closed alone, as those of TCP
// and of Unix sockets can.
type stream interface {
	net.Conn
	CloseWrite() error
}

// carry carries one connection until both sides have closed it, one has broken
// it, or ctx ends. What breaks one side breaks the other.
func (f *forwarder) carry(ctx context.Context, accepted net.Conn) {
	near, ok := accepted.(stream)
	if !ok {
		_ = accepted.Close()
		return
	}
	dialled, err := (&net.Dialer{}).DialContext(ctx, f.to.network, f.to.address)
	if err != nil {
		abort(near)
		return
	}
	far, ok := dialled.(stream)
	if !ok {
		abort(near)
		return
	}
	defer context.AfterFunc(ctx, func() { abort(near); abort(far) })()
	var group sync.WaitGroup
	group.Go(func() { pump(far, near) })
	group.Go(func() { pump(near, far) })
	group.Wait()
	_, _ = near.Close(), far.Close()
}

// pump carries one direction.
func pump(to, from stream) {
	if _, err := io.Copy(to, from); err != nil {
		abort(from)
		abort(to)
		return
	}
	_ = to.CloseWrite()
}

// abort ends a connection so that the other side sees it break and not end.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
