// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// startEtcd runs an etcd for the test and returns a client of it.
func startEtcd(t *testing.T) *clientv3.Client {
	t.Helper()
	client, _ := startEtcdIn(t, t.TempDir())
	return client
}

// startEtcdIn runs an etcd on a data directory, and returns a client of it and
// what stops it.
func startEtcdIn(t *testing.T, dir string) (*clientv3.Client, func()) {
	t.Helper()
	config := embed.NewConfig()
	config.Dir = dir
	config.UnsafeNoFsync = true
	config.EnableGRPCGateway = false
	config.LogLevel = "error"
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	anyPort := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config.ListenClientUrls, config.ListenPeerUrls = []url.URL{anyPort}, []url.URL{anyPort}
	server, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	stop := sync.OnceFunc(server.Close)
	t.Cleanup(stop)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(waitLong):
		t.Fatal("etcd does not get ready")
	}
	endpoint := "http://" + server.Clients[0].Addr().String()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: waitLong, Logger: zap.NewNop()})
	if err != nil {
		t.Fatalf("connect to etcd: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client, stop
}

// link is a network path to an etcd that can be cut.
type link struct {
	t        *testing.T
	listener net.Listener

	mu     sync.Mutex
	target string
	down   bool
	conns  map[net.Conn]struct{}
}

// newLink returns a link to the endpoint and its own endpoint.
func newLink(t *testing.T, endpoint string) (*link, string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	l := &link{t: t, listener: listener, conns: map[net.Conn]struct{}{}}
	l.lead(endpoint)
	go l.serve()
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut()
	})
	return l, "http://" + listener.Addr().String()
}

func (l *link) serve() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.forward(conn)
	}
}

func (l *link) forward(from net.Conn) {
	l.mu.Lock()
	target := l.target
	l.mu.Unlock()
	to, err := (&net.Dialer{}).DialContext(l.t.Context(), "tcp", target)
	if err != nil || !l.add(from, to) {
		_ = from.Close()
		return
	}
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
	_ = from.Close()
}

func (l *link) add(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		if l.down {
			_ = conn.Close()
			continue
		}
		l.conns[conn] = struct{}{}
	}
	return !l.down
}

// cut closes all connections and refuses new ones until mend.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for conn := range l.conns {
		_ = conn.Close()
	}
	clear(l.conns)
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// lead has new connections go to an endpoint.
func (l *link) lead(endpoint string) {
	l.t.Helper()
	parsed, err := url.Parse(endpoint)
	if err != nil {
		l.t.Fatalf("parse endpoint: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = parsed.Host
}
