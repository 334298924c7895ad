// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"fleet.dev/fleet/pkg/apiserver"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// startTimeout bounds a start on a busy machine.
const startTimeout = 90 * time.Second

// APIServer is a running server with clients of its administrator.
type APIServer struct {
	DataDir string
	Config  *rest.Config
	Kube    kubernetes.Interface
	Fleet   fleetclient.Interface
	Dynamic dynamic.Interface
	// Stop ends the server and waits until its data directory is free. Nil where
	// the server is not the test's to stop.
	Stop func()

	completed apiserver.CompletedOptions
}

// Option changes the options before the start.
type Option func(*apiserver.Options)

// StartAPIServer runs a server in dir (a fresh one when empty) until the test ends.
func StartAPIServer(tb testing.TB, dir string, options ...Option) *APIServer {
	tb.Helper()
	if dir == "" {
		dir = filepath.Join(tb.TempDir(), "fleet")
	}
	s, stop, err := start(context.WithoutCancel(tb.Context()), dir, options)
	if err != nil {
		tb.Fatal(err)
	}
	s.Stop = sync.OnceFunc(func() {
		if err := stop(); err != nil {
			tb.Errorf("stop API server: %v", err)
		}
	})
	tb.Cleanup(s.Stop)
	return s
}

// Main runs the tests of a package around one server and returns the exit code.
// The server is handed to use before the first test.
func Main(m *testing.M, use func(context.Context, *APIServer) error) int {
	ctx := context.Background()
	failed := func(err error) int {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	s, stop, err := start(ctx, filepath.Join(dir, "fleet"), nil)
	if err != nil {
		return failed(err)
	}
	if err := use(ctx, s); err != nil {
		return failed(errors.Join(err, stop()))
	}
	code := m.Run()
	if err := stop(); err != nil {
		return failed(fmt.Errorf("stop API server: %w", err))
	}
	return code
}

// assembling is held while a server is put together, which reads and sets what
// servers of one process share, such as feature gates. Servers run side by side.
var assembling sync.Mutex

// assemble returns a server that does not run yet.
func assemble(ctx context.Context, dir string, options []Option) (*apiserver.Server, apiserver.CompletedOptions, error) {
	assembling.Lock()
	defer assembling.Unlock()
	opts, err := newOptions(ctx, dir, options)
	if err != nil {
		return nil, apiserver.CompletedOptions{}, err
	}
	completed, err := opts.Complete(ctx)
	if err != nil {
		return nil, completed, fmt.Errorf("complete options: %w", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return nil, completed, fmt.Errorf("validate options: %w", errors.Join(append(errs, completed.Release())...))
	}
	server, err := apiserver.New(ctx, completed)
	if err != nil {
		return nil, completed, fmt.Errorf("make API server: %w", err)
	}
	return server, completed, nil
}

// start returns a server that is ready. stop ends it and waits for that.
func start(ctx context.Context, dir string, options []Option) (s *APIServer, stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	server, completed, err := assemble(ctx, dir, options)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stop = func() error {
		cancel()
		return <-done
	}
	ready, cancelReady := context.WithTimeout(ctx, startTimeout)
	defer cancelReady()
	if err := server.WaitReady(ready); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	s = &APIServer{DataDir: dir, completed: completed}
	if err := s.connect(); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return s, stop, nil
}

func newOptions(ctx context.Context, dir string, options []Option) (*apiserver.Options, error) {
	opts := apiserver.NewOptions()
	opts.DataDir = dir
	opts.EmbeddedEtcd.UnsafeNoFsync = true
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	opts.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	for _, option := range options {
		option(opts)
	}
	return opts, nil
}

// ConfigFor returns the client configuration of one of the server's identities:
// admin, scheduler, controller-manager or syncer.
func (s *APIServer) ConfigFor(tb testing.TB, identity string) *rest.Config {
	tb.Helper()
	config, err := s.ConfigOf(identity)
	if err != nil {
		tb.Fatal(err)
	}
	return config
}

// ConfigOf is ConfigFor where there is no test yet.
func (s *APIServer) ConfigOf(identity string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.completed.Kubeconfig(identity))
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig of %s: %w", identity, err)
	}
	config.QPS, config.Burst = 500, 1000
	return config, nil
}

func (s *APIServer) connect() (err error) {
	if s.Config, err = s.ConfigOf("admin"); err != nil {
		return err
	}
	if s.Kube, err = kubernetes.NewForConfig(s.Config); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if s.Fleet, err = fleetclient.NewForConfig(s.Config); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if s.Dynamic, err = dynamic.NewForConfig(s.Config); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	return nil
}
