// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // what client-go returns
	"k8s.io/client-go/transport/spdy"

	"fleet.dev/fleet/pkg/apiserver"
	"fleet.dev/fleet/test/integration/harness"
)

// startEtcd returns the endpoint of an etcd for several API servers.
func startEtcd(t *testing.T) string {
	t.Helper()
	config := embed.NewConfig()
	config.Dir, config.LogLevel, config.UnsafeNoFsync = t.TempDir(), "fatal", true
	config.ListenClientUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenPeerUrls = nil
	server, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(patience):
		t.Fatal("etcd is not ready")
	}
	return "http://" + server.Clients[0].Addr().String()
}

// startPeers runs two API servers over one etcd, with the same authorities.
func startPeers(t *testing.T) (first, second *harness.APIServer) {
	t.Helper()
	etcd := startEtcd(t)
	over := func(o *apiserver.Options) { o.Etcd.StorageConfig.Transport.ServerList = []string{etcd} }
	first = harness.StartAPIServer(t, "", over)
	dir := filepath.Join(t.TempDir(), "second")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "pki"), os.DirFS(filepath.Join(first.DataDir, "pki"))); err != nil {
		t.Fatal(err)
	}
	return first, harness.StartAPIServer(t, dir, over)
}

func TestPeers(t *testing.T) {
	t.Parallel()
	first, second := startPeers(t)
	if err := allowProxy(t.Context(), first, second); err != nil {
		t.Fatal(err)
	}
	m := startMember(t, "token")
	joinPull(t, first, "paris", true)
	echo := func(server *harness.APIServer) (int, string) {
		response, err := ask(t, ann(server), "PUT", proxyPath("paris", "/echo/a%2Fb/?dryRun=All&x=1"), bytes.NewBufferString("body"), nil)
		return read(t, response, err)
	}
	for name, server := range map[string]*harness.APIServer{"first": first, "second": second} {
		if code, body := echo(server); code != http.StatusServiceUnavailable {
			t.Errorf("nobody has a tunnel: %s: got %d %s", name, code, body)
		}
	}

	stop := startAgent(t, first, "paris", m)
	eventually(t, "the server without the tunnel finds the one that has it", func() bool {
		code, _ := echo(second)
		return code == http.StatusOK
	})
	code, body := echo(second)
	got := seen{}
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
		t.Fatalf("got %d %s", code, body)
	}
	want := seen{Method: "PUT", URI: "/echo/a%2Fb/?dryRun=All&x=1", Body: "body", Header: http.Header{
		"Authorization": {"Bearer token"}, "Impersonate-User": {"ann"}, "Impersonate-Uid": {"uid-of-ann"},
		"Impersonate-Group":                      {"devs", "team/a b", "system:authenticated"},
		"Impersonate-Extra-Example.com%2fscopes": {"one", "two"},
	}}
	for header := range got.Header {
		if _, ok := want.Header[header]; !ok {
			delete(got.Header, header)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the detour changes nothing: -want +got:\n%s", diff)
	}
	response, err := ask(t, as(second, "bob", "", "others"), "GET", proxyPath("paris", "/echo/"), nil, nil)
	if code, body := read(t, response, err); code != http.StatusForbidden {
		t.Errorf("the fleet's RBAC is asked: got %d %s", code, body)
	}
	upgradeThrough(t, second)

	stop()
	eventually(t, "the agent is gone from everywhere", func() bool {
		code, _ := echo(second)
		return code == http.StatusServiceUnavailable
	})
	startAgent(t, second, "paris", m)
	eventually(t, "and found at the other server", func() bool {
		code, _ := echo(first)
		return code == http.StatusOK
	})
	first.Stop()
	if code, body := echo(second); code != http.StatusOK {
		t.Errorf("a server that is gone is not missed: got %d %s", code, body)
	}
}

// upgradeThrough sends something over SPDY to the member and back.
func upgradeThrough(t *testing.T, server *harness.APIServer) {
	t.Helper()
	conn := dialSPDY(t, server)
	defer conn.Close() //nolint:errcheck // done
	stream, err := conn.CreateStream(http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.WriteString(stream, "hello")
		_ = stream.Close()
	}()
	if got, err := io.ReadAll(stream); string(got) != "hello" || err != nil {
		t.Errorf("upgrades pass through two servers: got %q, %v", got, err)
	}
}

// dialSPDY opens a connection to the member that is upgraded to SPDY.
func dialSPDY(t *testing.T, server *harness.APIServer) httpstream.Connection {
	t.Helper()
	config := ann(server)
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, config.Host+proxyPath("paris", "/spdy"), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := spdy.Negotiate(upgrader, &http.Client{Transport: transport}, req)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// A server that stops does not wait for its tunnels and what runs over them, nor
// for upgraded connections.
func TestShutdown(t *testing.T) {
	t.Parallel()
	server := harness.StartAPIServer(t, "")
	if err := allowProxy(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	m := startMember(t, "token")
	joinPull(t, server, "paris", true)
	agent, _ := runAgent(t, server, "paris", m)
	eventually(t, "connect", agent.Connected)
	response, err := ask(t, ann(server), "GET", proxyPath("paris", "/watch?watch=1&test=shutdown"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	upgraded := dialSPDY(t, server)
	defer upgraded.Close() //nolint:errcheck // done
	started := time.Now()
	server.Stop()
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("the server stops: took %s", took)
	}
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("who watches sees that it did not end by itself")
	}
	select {
	case <-upgraded.CloseChan():
	case <-time.After(patience):
		t.Error("connections that were upgraded end")
	}
	eventually(t, "the member's request ends", func() bool { return m.wasEnded("shutdown") })
	eventually(t, "the agent knows", func() bool { return !agent.Connected() })
}
