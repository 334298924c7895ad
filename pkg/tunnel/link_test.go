// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// wire is a connection that can be cut without either end being told, and that
// is slow when rate (bytes per second) is set.
type wire struct {
	net.Conn

	cut  chan struct{}
	gone chan struct{} // closed by Close
	once sync.Once
	// blocks says that writes to a wire that is cut do not return, as when the
	// buffers of the kernel are full.
	blocks bool
	rate   int
}

// newWire returns both ends.
func newWire(blocks bool, rate int) (near, far *wire, cut func()) {
	a, b := net.Pipe()
	broken := make(chan struct{})
	near = &wire{Conn: a, cut: broken, gone: make(chan struct{}), blocks: blocks, rate: rate}
	far = &wire{Conn: b, cut: broken, gone: make(chan struct{}), blocks: blocks, rate: rate}
	return near, far, func() { close(broken) }
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	select {
	case <-w.cut:
		<-w.gone
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (w *wire) Write(p []byte) (int, error) {
	if w.rate > 0 {
		sent := time.NewTimer(time.Duration(len(p)) * time.Second / time.Duration(w.rate))
		defer sent.Stop()
		select {
		case <-sent.C:
		case <-w.gone:
			return 0, net.ErrClosed
		}
	}
	select {
	case <-w.cut:
		if w.blocks {
			<-w.gone
			return 0, net.ErrClosed
		}
		return len(p), nil
	default:
		return w.Conn.Write(p)
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.gone) })
	return w.Conn.Close() // after a cut Read hides it from the other end
}

// newLinks returns both ends of a link that is kept alive.
func newLinks(t *testing.T, near, far io.ReadWriteCloser) (server, agent *link, alive *sync.WaitGroup) {
	t.Helper()
	server, err := newLink(near, true, time.Minute, klog.Background(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	agent, err = newLink(far, false, time.Minute, klog.Background(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	alive = &sync.WaitGroup{}
	alive.Go(server.keepAlive)
	alive.Go(agent.keepAlive)
	return server, agent, alive
}

// bubble runs a test in a time of its own. yamux keeps timers in a pool, which
// must not cross the border: two collections empty a pool.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	empty := func() {
		runtime.GC()
		runtime.GC()
	}
	empty()
	defer empty()
	synctest.Test(t, test)
}

func TestHalfOpen(t *testing.T) {
	for name, blocks := range map[string]bool{"WritesVanish": false, "WritesBlock": true} {
		t.Run(name, func(t *testing.T) {
			for after := 30 * time.Second; after < 50*time.Second; after += 1700 * time.Millisecond {
				bubble(t, func(t *testing.T) { //nolint:thelper // the test itself
					near, far, cut := newWire(blocks, 0)
					server, agent, alive := newLinks(t, near, far)
					time.Sleep(after)
					if server.IsClosed() || agent.IsClosed() {
						t.Error("a quiet link is kept")
					}
					cut()
					lost := time.Now()
					alive.Wait()
					if took := time.Since(lost); took > 30*time.Second {
						t.Errorf("both ends notice within 30 s that the other is gone, cut after %s: took %s", after, took)
					}
					for side, link := range map[string]*link{"server": server, "agent": agent} {
						if _, err := link.AcceptStream(); !errors.Is(link.ended(err), ErrStalled) {
							t.Errorf("the reason is known: %s: want %v, got %v", side, ErrStalled, link.ended(err))
						}
					}
				})
			}
		})
	}
}

// A link of 8 KiB/s, over which eight streams are sent as much as they may take,
// answers questions late.
func TestFullLinkIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) { //nolint:thelper // the test itself
		near, far, _ := newWire(false, 8<<10)
		server, agent, alive := newLinks(t, near, far)
		var copying sync.WaitGroup
		for range 8 {
			copying.Go(func() {
				conn, err := server.Open()
				if err != nil {
					t.Errorf("open stream: %v", err)
					return
				}
				if _, err := conn.Write(make([]byte, 16<<10)); err != nil {
					t.Errorf("write to a full link: %v", err)
				}
			})
			copying.Go(func() {
				conn, err := agent.Accept()
				if err != nil {
					t.Errorf("accept stream: %v", err)
					return
				}
				if _, err := io.ReadFull(conn, make([]byte, 16<<10)); err != nil {
					t.Errorf("read from a full link: %v", err)
				}
			})
		}
		copying.Wait()
		if server.IsClosed() || agent.IsClosed() {
			t.Error("a link that is full is not lost")
		}
		server.close(ErrShutdown)
		alive.Wait()
	})
}
