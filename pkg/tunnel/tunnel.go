// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// abandonedStream is how long a stream may stay half open that the API server
	// closed: nothing more is wanted of it.
	abandonedStream = time.Minute
	// idleStreams may be kept for further requests, each for idleStreamTimeout.
	idleStreams       = 16
	idleStreamTimeout = 30 * time.Second
)

// tunnel is the API server's end of a link to an agent.
type tunnel struct {
	link      *link
	transport *http.Transport

	mu       sync.Mutex
	streams  int  // guarded by mu; open streams, idle ones included
	draining bool // guarded by mu; a newer tunnel took over
}

func newTunnel(conn io.ReadWriteCloser, logger klog.Logger, clock clock.WithTicker) (*tunnel, error) {
	link, err := newLink(conn, true, abandonedStream, logger, clock)
	if err != nil {
		return nil, err
	}
	t := &tunnel{link: link}
	t.transport = &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return t.dial(ctx) },
		DisableCompression:  true,
		MaxIdleConnsPerHost: idleStreams,
		IdleConnTimeout:     idleStreamTimeout,
	}
	return t, nil
}

// dial opens a stream. When ctx ends first, the stream is closed as soon as it is
// there.
func (t *tunnel) dial(ctx context.Context) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	opened := make(chan result, 1)
	go func() {
		conn, err := t.link.Open()
		opened <- result{conn, err}
	}()
	select {
	case r := <-opened:
		if r.err != nil {
			return nil, fmt.Errorf("open stream: %w", t.link.ended(r.err))
		}
		return t.count(r.conn), nil
	case <-ctx.Done():
		go func() {
			if r := <-opened; r.err == nil {
				_ = r.conn.Close() // never used
			}
		}()
		return nil, fmt.Errorf("open stream: %w", context.Cause(ctx))
	}
}

func (t *tunnel) count(conn net.Conn) net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams++
	openStreams.Inc()
	return &stream{Conn: conn, closed: sync.OnceFunc(t.streamClosed)}
}

func (t *tunnel) streamClosed() {
	t.mu.Lock()
	t.streams--
	drained := t.draining && t.streams == 0
	t.mu.Unlock()
	openStreams.Dec()
	if drained {
		go t.link.close(ErrReplaced) // not under the locks of whoever closes the stream
	}
}

// drain ends the tunnel once its last stream is closed.
func (t *tunnel) drain() {
	t.mu.Lock()
	t.draining = true
	drained := t.streams == 0
	t.mu.Unlock()
	if drained {
		t.link.close(ErrReplaced)
		return
	}
	t.transport.CloseIdleConnections()
}

// serve returns why the tunnel ended.
func (t *tunnel) serve() error {
	var running sync.WaitGroup
	running.Go(t.link.keepAlive)
	defer running.Wait()
	defer t.transport.CloseIdleConnections()
	_, err := t.link.AcceptStream()
	if err == nil {
		err = ErrProtocol
	}
	t.link.close(err)
	return t.link.ended(err)
}

// stream is a connection to a member that tells when it is closed.
type stream struct {
	net.Conn

	closed func()
}

// Close implements net.Conn.
func (s *stream) Close() error {
	err := s.Conn.Close()
	s.closed()
	return err
}
