// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dialer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/spdystream"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	streamspdy "k8s.io/streaming/pkg/httpstream/spdy"
	"k8s.io/utils/clock"
)

const (
	// pingPeriod is how often a port-forward is asked whether it is still there, and
	// pingTimeout how long it may take to answer.
	pingPeriod, pingTimeout = 10 * time.Second, 10 * time.Second
	// openTimeout bounds how long a member may take to accept a stream, and to say
	// why one ended.
	openTimeout = 5 * time.Second
	// maxRefusal is how much is read of what a member says about a failure.
	maxRefusal = 16 << 10
)

// errSilent ends a port-forward that nobody is at the other end of.
var errSilent = errors.New("it does not answer any more")

// upgrade asks a member for a port-forward to a Pod.
func upgrade(ctx context.Context, way Way, to target) (io.ReadWriteCloser, error) {
	url := way.URL.JoinPath("api/v1/namespaces", to.namespace, "pods", to.pod, "portforward")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set(httpstream.HeaderConnection, httpstream.HeaderUpgrade)
	req.Header.Set(httpstream.HeaderUpgrade, streamspdy.HeaderSpdy31)
	req.Header.Set(httpstream.HeaderProtocolVersion, portforward.PortForwardProtocolV1Name)
	response, err := way.Transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	carrier, ok := response.Body.(io.ReadWriteCloser)
	if response.StatusCode == http.StatusSwitchingProtocols && ok {
		return carrier, nil
	}
	return nil, errors.Join(refusal(response), response.Body.Close())
}

// refusal is what a member says instead of upgrading a connection.
func refusal(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	status := &metav1.Status{}
	if json.Unmarshal(body, status) == nil && status.Message != "" {
		return errors.New(status.Message)
	}
	return fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
}

// forwarded is the client's end of a connection to a port of a Pod.
type forwarded struct {
	net.Conn

	link *link
}

// Read implements net.Conn. Where the connection ended for a reason, it says so.
func (f *forwarded) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		if cause := f.link.cause(); cause != nil {
			return n, cause
		}
	}
	return n, err
}

// link is what carries one connection to a port of a Pod.
//
//	client ─ near ═ far ─► data stream ─► member ─► Pod
//
// A pipe is between the client and the stream because streams have no deadlines,
// and writing to a member that stands still must not hold the client up.
type link struct {
	carrier   io.ReadWriteCloser
	session   *spdystream.Connection
	data, why *spdystream.Stream
	near, far net.Conn
	clock     clock.WithTicker
	failed    func(error)

	ended    chan struct{} // closed with the carrier
	end      func()
	received atomic.Int64 // how often something came from the Pod
	stalled  atomic.Bool  // the client does not take what came

	mu  sync.Mutex
	err error // guarded by mu; why it ended
}

// forward connects to a port of a Pod through its member. failed is called when the
// connection ends for a reason that has to do with the way or the Pod.
func forward(ctx context.Context, way Way, to target, clock clock.WithTicker, failed func(error)) (net.Conn, error) {
	carrier, err := upgrade(ctx, way, to)
	if err != nil {
		return nil, fmt.Errorf("forward to pod %q: %w", to.pod, err)
	}
	l := &link{carrier: carrier, clock: clock, failed: failed, ended: make(chan struct{})}
	l.end = sync.OnceFunc(func() {
		close(l.ended)
		_ = carrier.Close() // what it carried is lost either way
	})
	stop := context.AfterFunc(ctx, l.end)
	if err := l.open(to.port); err != nil {
		l.end()
		return nil, fmt.Errorf("forward to port %d of pod %q: %w", to.port, to.pod, err)
	}
	if !stop() {
		return nil, fmt.Errorf("forward to port %d of pod %q: %w", to.port, to.pod, context.Cause(ctx))
	}
	l.near, l.far = net.Pipe()
	go l.serve(to)
	return &forwarded{Conn: l.near, link: l}, nil
}

// open makes the two streams that one connection takes.
func (l *link) open(port int32) (err error) {
	if l.session, err = spdystream.NewConnection(carrierConn{l.carrier}, false); err != nil {
		return err
	}
	go l.session.Serve(spdystream.NoOpStreamHandler)
	if l.why, err = l.stream(corev1.StreamTypeError, port); err != nil {
		return err
	}
	if err := l.why.Close(); err != nil { // nothing is written to it
		return err
	}
	l.data, err = l.stream(corev1.StreamTypeData, port)
	return err
}

func (l *link) stream(kind string, port int32) (*spdystream.Stream, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, kind)
	headers.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	stream, err := l.session.CreateStream(headers, nil, false)
	if err != nil {
		return nil, err
	}
	return stream, stream.WaitTimeout(openTimeout)
}

// serve carries what is sent both ways until either side ends.
func (l *link) serve(to target) {
	connections.Inc()
	defer connections.Dec()
	var running sync.WaitGroup
	running.Go(l.keepAlive)
	running.Go(func() {
		_, _ = io.Copy(l.data, l.far) // ends with the client, or with the carrier
		l.end()
	})
	l.receive()
	// What nobody reads would hold up the session, and its end with it.
	_ = l.data.Reset()
	if message := l.reason(); message != "" {
		l.fail(fmt.Errorf("forward to port %d of pod %q: %s", to.port, to.pod, message))
	}
	_ = l.why.Reset()
	l.end()
	_ = l.far.Close() // a pipe has nothing to lose
	running.Wait()
}

// receive hands the client what comes from the Pod.
func (l *link) receive() {
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.data.Read(buffer)
		l.received.Add(1)
		if n > 0 {
			l.stalled.Store(true)
			_, writeErr := l.far.Write(buffer[:n])
			l.stalled.Store(false)
			err = errors.Join(err, writeErr)
		}
		if err != nil {
			return
		}
	}
}

// reason is what the member says about the end of the connection, empty when
// nothing was wrong.
func (l *link) reason() string {
	enough := l.clock.NewTimer(openTimeout)
	defer enough.Stop()
	read := make(chan string, 1)
	go func() {
		message, _ := io.ReadAll(io.LimitReader(l.why, maxRefusal)) // what came until it ended
		read <- strings.TrimSpace(string(message))
	}()
	select {
	case message := <-read:
		return message
	case <-enough.C():
		l.end() // ends the reader as well
		return <-read
	}
}

// keepAlive ends the link when nobody answers. A client that does not read keeps
// answers back as well, and is waited for.
func (l *link) keepAlive() {
	ticker := l.clock.NewTicker(pingPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-l.ended:
			return
		case <-ticker.C():
		}
		if !l.alive() {
			l.fail(errSilent)
			l.end()
			return
		}
	}
}

func (l *link) alive() bool {
	before := l.received.Load()
	answered := make(chan struct{})
	go func() {
		if _, err := l.session.Ping(); err == nil {
			close(answered)
		}
	}()
	enough := l.clock.NewTimer(pingTimeout)
	defer enough.Stop()
	select {
	case <-answered:
		return true
	case <-l.ended:
		return true
	case <-enough.C():
		return l.stalled.Load() || l.received.Load() != before
	}
}

// fail records why the link ends, the first time.
func (l *link) fail(err error) {
	l.mu.Lock()
	first := l.err == nil
	if first {
		l.err = err
	}
	l.mu.Unlock()
	if first {
		l.failed(err)
	}
}

func (l *link) cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// carrierConn makes the body of an upgraded response a connection, as far as
// spdystream needs one.
type carrierConn struct{ io.ReadWriteCloser }

var _ net.Conn = carrierConn{}

// LocalAddr implements net.Conn.
func (carrierConn) LocalAddr() net.Addr { return &net.UnixAddr{Name: "fleet", Net: "pipe"} }

// RemoteAddr implements net.Conn.
func (carrierConn) RemoteAddr() net.Addr { return &net.UnixAddr{Name: "member", Net: "pipe"} }

// SetDeadline implements net.Conn; nobody asks for it.
func (carrierConn) SetDeadline(time.Time) error { return errors.ErrUnsupported }

// SetReadDeadline implements net.Conn; nobody asks for it.
func (carrierConn) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

// SetWriteDeadline implements net.Conn; nobody asks for it.
func (carrierConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
