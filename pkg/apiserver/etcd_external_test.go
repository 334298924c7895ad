// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2/ktesting"
)

func TestCheckEtcdVersion(t *testing.T) {
	tests := map[string]struct {
		reason  string
		version string
		want    string
	}{
		"Oldest":      {reason: "the first that can be asked for progress", version: "3.5.8"},
		"Newer":       {reason: "later ones can as well", version: "3.6.8"},
		"NextMinor":   {reason: "versions are no decimal fractions", version: "3.10.0"},
		"TooOld":      {reason: "3.5.7 may lose events", version: "3.5.7", want: "it is version 3.5.7, at least 3.5.8 is needed"},
		"MuchTooOld":  {reason: "so may all before", version: "3.4.30", want: "at least 3.5.8 is needed"},
		"Prerelease":  {reason: "a release candidate is older than its release", version: "3.5.8-rc.1", want: "at least 3.5.8 is needed"},
		"NoVersion":   {reason: "whatever this is, it is not known to work", version: "", want: "read its version"},
		"NotSemantic": {reason: "nor is this", version: "main", want: "read its version"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			expectError(t, tc.reason, checkEtcdVersion(tc.version), tc.want)
		})
	}
}

func expectError(t *testing.T, reason string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: want no error, got %v", reason, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: want an error containing %q, got %v", reason, want, err)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: want one line, got\n%v", reason, err)
	}
}

func TestJudgeEtcd(t *testing.T) {
	refused := errors.New("connection refused")
	endpoints := []string{"https://a:2379", "https://b:2379"}
	tests := map[string]struct {
		reason   string
		versions []string
		failures []error
		want     string
	}{
		"AllThere":  {reason: "nothing is wrong", versions: []string{"3.6.8", "3.6.8"}, failures: []error{nil, nil}},
		"OneDown":   {reason: "etcd lives on with a member down, and so does the fleet", versions: []string{"", "3.6.8"}, failures: []error{refused, nil}},
		"AllDown":   {reason: "the line names each", versions: []string{"", ""}, failures: []error{refused, refused}, want: "reach etcd (--etcd-servers) https://a:2379: connection refused; https://b:2379: connection refused"},
		"OneTooOld": {reason: "a client may be talking to any of them", versions: []string{"3.6.8", "3.4.0"}, failures: []error{nil, nil}, want: "use etcd https://b:2379 (--etcd-servers): it is version 3.4.0"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			logger, _ := ktesting.NewTestContext(t)
			expectError(t, tc.reason, judgeEtcd(logger, endpoints, tc.versions, tc.failures), tc.want)
		})
	}
}

func TestParseEndpoint(t *testing.T) {
	tests := map[string]struct {
		server etcdServer
		target string
	}{
		"https://etcd-0.etcd:2379": {etcdServer{"tcp", "etcd-0.etcd:2379", true}, "passthrough:///etcd-0.etcd:2379"},
		"http://[::1]:2379":        {etcdServer{"tcp", "[::1]:2379", false}, "passthrough:///[::1]:2379"},
		"192.0.2.1:2379":           {etcdServer{"tcp", "192.0.2.1:2379", false}, "passthrough:///192.0.2.1:2379"},
		"etcd:2379":                {etcdServer{"tcp", "etcd:2379", false}, "passthrough:///etcd:2379"},
		"unix:///run/etcd.sock":    {etcdServer{"unix", "/run/etcd.sock", false}, "unix:/run/etcd.sock"},
		"unixs:///run/etcd.sock":   {etcdServer{"unix", "/run/etcd.sock", true}, "unix:/run/etcd.sock"},
	}
	for endpoint, want := range tests {
		t.Run(endpoint, func(t *testing.T) {
			server := parseEndpoint(endpoint)
			if server != want.server || server.target() != want.target {
				t.Errorf("parseEndpoint: want %+v, got %+v with target %s", want, server, server.target())
			}
		})
	}
}

// TestProbeEtcdSaysWhatIsWrong: with gRPC alone all of these would be "context
// deadline exceeded", after ten seconds.
func TestProbeEtcdSaysWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		reason string
		server func(t *testing.T) (endpoint string)
		want   string
	}{
		"Refused": {
			reason: "etcd is not running",
			server: func(t *testing.T) string {
				t.Helper()
				listener := listen(t)
				_ = listener.Close()
				return "http://" + listener.Addr().String()
			},
			want: "connect: connection refused",
		},
		"UnknownAuthority": {
			reason: "--etcd-cafile is missing",
			server: func(t *testing.T) string {
				t.Helper()
				server := httptest.NewUnstartedServer(http.NotFoundHandler())
				server.EnableHTTP2 = true
				server.Config.ErrorLog = log.New(io.Discard, "", 0)
				server.StartTLS()
				t.Cleanup(server.Close)
				return server.URL
			},
			want: "certificate signed by unknown authority",
		},
		"AnotherProtocol": {
			reason: "the port is another program's",
			server: func(t *testing.T) string {
				t.Helper()
				server := httptest.NewServer(http.NotFoundHandler())
				t.Cleanup(server.Close)
				return server.URL
			},
			want: "looked like an HTTP/1.1 header",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			endpoint := tc.server(t)
			err := probeEtcd(t.Context(), storagebackend.TransportConfig{ServerList: []string{endpoint}})
			expectError(t, tc.reason, err, "reach etcd (--etcd-servers) "+endpoint+": ")
			expectError(t, tc.reason, err, tc.want)
		})
	}
	t.Run("NoSuchFile", func(t *testing.T) {
		err := probeEtcd(t.Context(), storagebackend.TransportConfig{ServerList: []string{"https://192.0.2.1:2379"}, TrustedCAFile: "/does/not/exist"})
		expectError(t, "the flag is named", err, "--etcd-cafile")
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}
