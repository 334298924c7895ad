// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package informer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// second is another API server of the fleet, beside the one of "fleet server": over the
// same etcd, with the same authorities.
type second struct {
	program string
	args    []string
	log     *os.File
	config  *rest.Config
	kube    kubernetes.Interface

	command *exec.Cmd
}

func startSecond(t *testing.T) *second {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(bed.dir, "second")
	if err := os.RemoveAll(dir); err != nil { // that of an earlier run
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "pki"), os.DirFS(filepath.Join(bed.fleet.DataDir(), "pki"))); err != nil {
		t.Fatal(err)
	}
	if err := private(dir); err != nil {
		t.Fatal(err)
	}
	s := &second{
		program: filepath.Join(bed.bin, "fleet-apiserver"),
		args:    append(bed.etcdFlags(), "--data-dir="+dir, "--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(port), "--projections-server=2"),
		config:  rest.CopyConfig(bed.config),
	}
	s.config.Host = fmt.Sprintf("https://127.0.0.1:%d", port)
	if s.kube, err = kubernetes.NewForConfig(s.config); err != nil {
		t.Fatal(err)
	}
	if s.log, err = os.Create(filepath.Join(bed.dir, "second.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.log.Close() })
	t.Cleanup(s.kill)
	s.start(t)
	return s
}

// private has nobody else read the keys, as they are where they were copied from.
func private(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory
		return err
	}
	return filepath.WalkDir(filepath.Join(dir, "pki"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
}

// start starts the server and waits until it is ready.
func (s *second) start(t *testing.T) {
	t.Helper()
	s.command = exec.Command(s.program, s.args...) //nolint:gosec,noctx // a program of ours that outlives any context
	s.command.Stdout, s.command.Stderr = s.log, s.log
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second server to be ready", func(ctx context.Context) error {
		return s.kube.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// kill ends the server as a crash does.
func (s *second) kill() {
	if s.command != nil && s.command.ProcessState == nil {
		_ = s.command.Process.Kill()
		_ = s.command.Wait()
	}
}

func (s *second) restart(t *testing.T) {
	t.Helper()
	s.kill()
	s.start(t)
}

// balancer is what a client knows of several API servers: one address, behind which
// another one answers later. It counts requests for Pods.
type balancer struct {
	*httptest.Server

	// to is the server that answers.
	to atomic.Pointer[upstream]

	mu     sync.Mutex
	counts requestCounts // guarded by mu
}

// upstream is an API server behind a balancer.
type upstream struct {
	url       *url.URL
	transport http.RoundTripper
}

// requestCounts are requests for Pods of one client: how many read everything (lists,
// and watches that begin with one), how many watches went on from a version, and how
// many did not succeed.
type requestCounts struct{ lists, watches, expired, failed int }

func newBalancer(t *testing.T, first *rest.Config) *balancer {
	t.Helper()
	b := &balancer{}
	b.direct(t, first)
	b.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(b.to.Load().url) },
		Transport:      b,
		FlushInterval:  -1,
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusServiceUnavailable) },
		ModifyResponse: func(*http.Response) error { return nil },
	})
	t.Cleanup(b.Close)
	return b
}

// direct sends new requests to a server, and ends those at another.
func (b *balancer) direct(t *testing.T, config *rest.Config) {
	t.Helper()
	at, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	carrier, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	b.to.Store(&upstream{url: at, transport: carrier})
	if b.Server != nil {
		b.CloseClientConnections()
	}
}

// RoundTrip implements http.RoundTripper and counts.
func (b *balancer) RoundTrip(req *http.Request) (*http.Response, error) {
	response, err := b.to.Load().transport.RoundTrip(req)
	b.mu.Lock()
	defer b.mu.Unlock()
	query := req.URL.Query()
	switch watches := query.Get("watch") == "true" || query.Get("watch") == "1"; {
	case err != nil || response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests:
		b.counts.failed++
	case response.StatusCode == http.StatusGone:
		b.counts.expired++
	case !watches || query.Get("sendInitialEvents") == "true":
		b.counts.lists++
	default:
		b.counts.watches++
	}
	if err != nil {
		return nil, errors.Join(errAway, err)
	}
	return response, nil
}

var errAway = errors.New("the server is away")

func (b *balancer) read() requestCounts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts
}
