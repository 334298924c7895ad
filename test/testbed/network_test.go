// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"fleet.dev/fleet/test/testbed/toolchain"
)

// border is a network namespace without a member in it, and a server outside where
// the fleet would be.
type border struct {
	*testing.T

	network *network
	// outward and stranger are clients inside: of the fleet, and of another port
	// of the machine.
	outward, stranger *http.Client
	url               string
}

// tick is how often the server sends a line.
const tick = 20 * time.Millisecond

func newBorder(t *testing.T) *border {
	t.Helper()
	b := openBed(t, t.TempDir())
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", filepath.Join(b.cfg.Bin, toolchain.Netns), "./netns")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	m, err := b.ensureMember(t.Context(), MemberConfig{Name: "a", DialsOut: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := m.startNetwork(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := &border{T: t, network: m.network, url: httpURL(m.layout.fleetPort)}
	out.serveFleet(m.layout.fleetPort)
	out.outward = out.clientInside(b, m.layout.fleetPort)
	out.stranger = out.clientInside(b, m.layout.ports.Door)
	return out
}

// serveFleet serves numbered lines, without end, on a port of the machine.
func (b *border) serveFleet(port int) {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for i := 0; ; i++ {
			_, _ = fmt.Fprintln(w, i)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-ticker.C:
			}
		}
	})}
	go func() { _ = server.Serve(l) }()
	b.Cleanup(func() { _ = server.Close() })
}

// clientInside is a client whose connections are dialled inside, to a port there.
func (b *border) clientInside(bed *Bed, port int) *http.Client {
	b.Helper()
	socket := filepath.Join(b.TempDir(), "s")
	p := bed.process("dial-"+strconv.Itoa(port), b.network.holder.path, []string{
		"forward", "-from=unix:" + socket, "-to=tcp:" + net.JoinHostPort(loopback, strconv.Itoa(port)),
	})
	p.within = b.network.holder
	if err := p.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Kill(context.Background()); err != nil {
			b.Error(err)
		}
	})
	err := p.await(b.Context(), time.Minute, func(context.Context) error {
		_, err := os.Stat(socket)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
}

// get opens a stream of the fleet's lines from inside.
func (b *border) get(ctx context.Context) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url, nil)
	if err != nil {
		return nil, err
	}
	return b.outward.Do(request)
}

// answers waits until a new connection is served.
func (b *border) answers(reason string) {
	b.Helper()
	err := wait.PollUntilContextTimeout(b.Context(), pollInterval, time.Minute, true, func(ctx context.Context) (bool, error) {
		response, err := b.get(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // tried again
		}
		return true, response.Body.Close()
	})
	if err != nil {
		b.Errorf("%s: %v", reason, err)
	}
}

// lines reads a stream and sends its lines, then closes.
func lines(r io.Reader) <-chan string {
	out := make(chan string, 1<<16)
	go func() {
		defer close(out)
		for scanner := bufio.NewScanner(r); scanner.Scan(); {
			out <- scanner.Text()
		}
	}()
	return out
}

func TestLink(t *testing.T) {
	b := newBorder(t)
	link := &Link{forwarder: b.network.link}
	response, err := b.get(t.Context())
	if err != nil {
		t.Fatalf("the fleet can be dialled from inside: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	stream := lines(response.Body)
	next := 0
	expect := func(n int) {
		t.Helper()
		for range n {
			select {
			case line := <-stream:
				if line != strconv.Itoa(next) {
					t.Fatalf("the stream goes on where it was: want %d, got %q", next, line)
				}
				next++
			case <-time.After(time.Minute):
				t.Fatalf("no line %d", next)
			}
		}
	}
	expect(3)

	if err := link.Cut(); err != nil {
		t.Fatal(err)
	}
	stalled(t, stream, &next)
	short, cancel := context.WithTimeout(t.Context(), 20*tick)
	defer cancel()
	if late, err := b.get(short); !errors.Is(err, context.DeadlineExceeded) {
		if err == nil {
			_ = late.Body.Close()
		}
		t.Errorf("while the link is cut a new connection hangs, and is not refused: %v", err)
	}
	if err := link.Heal(); err != nil {
		t.Fatal(err)
	}
	expect(20)
	b.answers("a healed link takes new connections")

	if err := link.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range stream {
	}
	if _, err := response.Body.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a reset breaks what is open, got %v", err)
	}
	b.answers("after a reset new connections can be made")
}

// stalled drains what was under way when the link was cut and checks that then
// nothing comes for many ticks.
func stalled(t *testing.T, stream <-chan string, next *int) {
	t.Helper()
	const quiet = 25 * tick
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for drained := 0; ; {
		select {
		case <-stream:
			*next++
			if drained++; drained > 50 {
				t.Fatal("lines keep coming over a link that is cut")
			}
			timer.Reset(quiet)
		case <-timer.C:
			return
		}
	}
}

func TestNetworkIsClosed(t *testing.T) {
	b := newBorder(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := b.stranger.Do(request); err == nil {
		_ = response.Body.Close()
		t.Error("nothing of the machine but the fleet can be dialled from inside")
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(b.network.holder.PID()) + "/ns/net"); err != nil {
		t.Fatal(err)
	}
	if err := b.network.holder.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if response, err := b.get(short); err == nil {
		_ = response.Body.Close()
		t.Error("without its border nothing leaves the network")
	}
}
