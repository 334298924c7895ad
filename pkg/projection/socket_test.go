// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// TestKubeletsEndAtOnce has both ends of a connection end TLS at the same time, as they do
// when a command in a Pod is done.
func TestKubeletsEndAtOnce(t *testing.T) {
	k, err := NewKubelets(nil)
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := k.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	near, err := k.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	ends := []*tls.Conn{
		tls.Client(near, &tls.Config{InsecureSkipVerify: true}), //nolint:gosec // it is in this process
		tls.Server(<-accepted, &tls.Config{Certificates: []tls.Certificate{k.certificate}, MinVersion: tls.VersionTLS13}),
	}
	both := func(do func(*tls.Conn) error) {
		var running sync.WaitGroup
		for _, end := range ends {
			running.Go(func() {
				if err := do(end); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
	}
	both(func(end *tls.Conn) error { return end.HandshakeContext(t.Context()) })
	began := time.Now()
	both(func(end *tls.Conn) error {
		_ = end.Close() // the second cannot tell the first any more
		return nil
	})
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("both ends were closed after %s, want it at once", took)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.conns) != 0 {
		t.Errorf("%d connections are kept, want none", len(k.conns))
	}
}

// TestKubeletsThatDoNotAnswer dials when nobody accepts.
func TestKubeletsThatDoNotAnswer(t *testing.T) {
	k, err := NewKubelets(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if conn, err := k.dial(ctx, "", ""); conn != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("dial for nobody: got %v, %v, want that it was given up", conn, err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if conn, err := k.dial(t.Context(), "", ""); conn != nil || !errors.Is(err, errClosed) {
		t.Errorf("dial when the server stops: got %v, %v, want to be told so", conn, err)
	}
}
