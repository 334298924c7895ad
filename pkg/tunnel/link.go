// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// watchInterval is the time between two looks at what the peer sent.
	watchInterval = 5 * time.Second
	// pingInterval is the time between two questions to the peer.
	pingInterval = 10 * time.Second
	// maxSilence is how long nothing may come from a peer that is asked.
	maxSilence = 20 * time.Second
	// writeTimeout is how long a frame may wait for a link that is full.
	writeTimeout = 20 * time.Second
	// streamOpenTimeout bounds how long the peer takes to notice a new stream.
	streamOpenTimeout = 30 * time.Second
	// streamWindow is how much of a stream may be on the way or unread.
	streamWindow = 256 << 10
	// backlog is how many streams may wait to be noticed by the peer.
	backlog = 256
)

// Reasons for which a tunnel ends. Any other is an error of the connection.
var (
	// ErrStalled says that the peer neither answered nor sent anything.
	ErrStalled = errors.New("the peer does not answer")
	// ErrExpired says that the certificate the tunnel was opened with expired.
	ErrExpired = errors.New("the certificate of the agent expired")
	// ErrRevoked says that the agent may not have a tunnel any more.
	ErrRevoked = errors.New("the request of the agent was ended")
	// ErrReplaced says that a newer tunnel of the same cluster took over.
	ErrReplaced = errors.New("a newer tunnel took over")
	// ErrProtocol says that an agent opened a stream, which only the API server
	// does.
	ErrProtocol = errors.New("the agent broke the protocol")
	// ErrShutdown says that this process is ending.
	ErrShutdown = errors.New("shutting down")
)

// link is one end of a tunnel: a session that notices when its peer is gone.
type link struct {
	*yamux.Session

	conn   *countingConn
	clock  clock.WithTicker
	asking atomic.Bool // a question is not answered yet

	mu    sync.Mutex
	cause error // guarded by mu; why the link was closed
}

// newLink starts a session over conn. opens says whether this side opens
// streams. lingers is how long a stream that this side closed may stay half open.
func newLink(conn io.ReadWriteCloser, opens bool, lingers time.Duration, logger klog.Logger, clock clock.WithTicker) (*link, error) {
	config := &yamux.Config{
		AcceptBacklog:          backlog,
		ConnectionWriteTimeout: writeTimeout,
		KeepAliveInterval:      pingInterval, // unused: see keepAlive
		MaxStreamWindowSize:    streamWindow,
		StreamOpenTimeout:      streamOpenTimeout,
		StreamCloseTimeout:     lingers,
		Logger:                 sessionLog{logger},
	}
	counting := &countingConn{ReadWriteCloser: conn}
	side := yamux.Server
	if opens {
		side = yamux.Client
	}
	session, err := side(counting, config)
	if err != nil {
		return nil, fmt.Errorf("start session: %w", err)
	}
	return &link{Session: session, conn: counting, clock: clock}, nil
}

// keepAlive returns when the link is closed, and closes it when the peer is gone.
// The session's own keepalive would also give up a link that is only full: the
// answer then waits behind data that does arrive.
func (l *link) keepAlive() {
	var asking sync.WaitGroup
	defer asking.Wait()
	ticker := l.clock.NewTicker(watchInterval)
	defer ticker.Stop()
	received, silence, unasked := l.conn.received.Load(), time.Duration(0), pingInterval
	for {
		select {
		case <-ticker.C():
		case <-l.CloseChan():
			return
		}
		silence += watchInterval
		if now := l.conn.received.Load(); now != received {
			received, silence = now, 0
		}
		if silence >= maxSilence {
			l.close(ErrStalled)
			return
		}
		if unasked += watchInterval; unasked >= pingInterval && l.asking.CompareAndSwap(false, true) {
			unasked = 0
			asking.Go(func() {
				defer l.asking.Store(false)
				_, _ = l.Ping() // what counts is that something comes
			})
		}
	}
}

// close ends the link and everything on it. The first cause is kept.
func (l *link) close(cause error) {
	l.mu.Lock()
	if l.cause == nil && !l.IsClosed() {
		l.cause = cause
	}
	l.mu.Unlock()
	_ = l.Close() // closing a lost connection again
}

// ended returns why the link was closed from this side, or else err.
func (l *link) ended(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return l.cause
	}
	return err
}

// countingConn counts what arrives.
type countingConn struct {
	io.ReadWriteCloser

	received atomic.Uint64
}

// Read implements io.Reader.
func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	c.received.Add(uint64(n)) //nolint:gosec // never negative
	return n, err
}

// sessionLog hands what yamux says to the log. All of it is about one connection
// that is ending, which is reported elsewhere.
type sessionLog struct{ logger klog.Logger }

// Print implements yamux.Logger.
func (l sessionLog) Print(v ...any) {
	l.logger.V(4).Info("Tunnel session", "message", fmt.Sprint(v...))
}

// Printf implements yamux.Logger.
func (l sessionLog) Printf(format string, v ...any) { l.Print(fmt.Sprintf(format, v...)) }

// Println implements yamux.Logger.
func (l sessionLog) Println(v ...any) { l.Print(v...) }
