// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patience is how long a connection of a test may take.
const patience = 30 * time.Second

// serve accepts connections on a port of its own and hands each to handle.
func serve(t *testing.T, handle func(*net.TCPConn)) endpoint {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(c.(*net.TCPConn))
		}
	}()
	return endpoint{"tcp", l.Addr().String()}
}

// through dials an endpoint through forwarders that listen on via, in turn.
func through(t *testing.T, to endpoint, via ...endpoint) (*net.TCPConn, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done []chan struct{}
	start := func(r route) net.Addr {
		t.Helper()
		f, err := listen(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		done = append(done, ended)
		go func() {
			defer close(ended)
			f.run(ctx)
		}()
		return f.listener.Addr()
	}
	for _, next := range via {
		start(route{from: next, to: to})
		to = next
	}
	address := start(route{from: loopbackPort("0"), to: to})
	t.Cleanup(func() {
		cancel()
		for _, ended := range done {
			<-ended
		}
	})
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address.String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn), c.SetDeadline(time.Now().Add(patience))
}

func TestForwardHalfClosed(t *testing.T) {
	socket := endpoint{"unix", filepath.Join(t.TempDir(), "s.sock")}
	if err := os.WriteFile(socket.address, nil, 0o600); err != nil { // as if a dead process had left it
		t.Fatal(err)
	}
	c, err := through(t, serve(t, func(c *net.TCPConn) {
		defer func() { _ = c.Close() }()
		all, _ := io.ReadAll(c) // a failure makes the answer wrong
		_, _ = c.Write([]byte(strings.ToUpper(string(all))))
	}), socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("HELLO", string(got)); diff != "" {
		t.Errorf("who has said all may still be answered: -want +got:\n%s", diff)
	}
}

func TestForwardBroken(t *testing.T) {
	closed := endpoint{"unix", filepath.Join(t.TempDir(), "nobody.sock")}
	cases := map[string]struct {
		reason string
		to     endpoint
	}{
		"Refused": {"where nobody listens a connection must not look as if it were served", closed},
		"Reset": {"what breaks behind must not look as if it ended well", serve(t, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1))
			abort(c)
		})},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c, err := through(t, tc.to)
			if err == nil {
				_, err = c.Write([]byte("hello"))
			}
			if err == nil {
				_, err = io.ReadAll(c)
			}
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("%s: got %v", tc.reason, err)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	cases := map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"Nothing":   {"a command must be given", nil, "say what to do"},
		"Unknown":   {"a typo is not ignored", []string{"holds"}, "say what to do"},
		"NoPair":    {"a route has two ends", []string{"hold", "-out=80"}, "not FROM=TO"},
		"NoNetwork": {"an address needs its network", []string{"forward", "-from=/tmp/x"}, "neither unix"},
		"NoProgram": {"exec needs a program", []string{"exec", "--"}, "which program"},
		"NoSuch":    {"a program that is not there is named", []string{"exec", "--", "/no/such"}, "/no/such"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), tc.args); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want %q", tc.reason, err, tc.want)
			}
		})
	}
}
