// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"net"
	"path/filepath"
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
	// Stop ends the server and waits until its data directory is free.
	Stop func()

	completed apiserver.CompletedOptions
}

// Option changes the options before the start.
type Option func(*apiserver.Options)

// StartAPIServer runs a server in dir (a fresh one when empty) until the test ends.
func StartAPIServer(t testing.TB, dir string, options ...Option) *APIServer {
	t.Helper()
	if dir == "" {
		dir = filepath.Join(t.TempDir(), "fleet")
	}
	opts := apiserver.NewOptions()
	opts.DataDir = dir
	opts.EmbeddedEtcd.UnsafeNoFsync = true
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	opts.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	for _, option := range options {
		option(opts)
	}
	completed, err := opts.Complete(t.Context())
	if err != nil {
		t.Fatalf("complete options: %v", err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		t.Fatalf("validate options: %v", errs)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server, err := apiserver.New(ctx, completed)
	if err != nil {
		cancel()
		t.Fatalf("make API server: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop API server: %v", err)
		}
	}
	t.Cleanup(stop)
	ready, cancelReady := context.WithTimeout(ctx, startTimeout)
	defer cancelReady()
	if err := server.WaitReady(ready); err != nil {
		t.Fatalf("wait for API server: %v", err)
	}
	s := &APIServer{DataDir: dir, Stop: stop, completed: completed}
	s.connect(t)
	return s
}

// ConfigFor returns the client configuration of one of the server's identities:
// admin, scheduler, controller-manager or syncer.
func (s *APIServer) ConfigFor(t testing.TB, identity string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.completed.Kubeconfig(identity))
	if err != nil {
		t.Fatalf("load kubeconfig of %s: %v", identity, err)
	}
	config.QPS, config.Burst = 500, 1000
	return config
}

func (s *APIServer) connect(t testing.TB) {
	t.Helper()
	s.Config = s.ConfigFor(t, "admin")
	var err error
	if s.Kube, err = kubernetes.NewForConfig(s.Config); err != nil {
		t.Fatalf("make client: %v", err)
	}
	if s.Fleet, err = fleetclient.NewForConfig(s.Config); err != nil {
		t.Fatalf("make client: %v", err)
	}
	if s.Dynamic, err = dynamic.NewForConfig(s.Config); err != nil {
		t.Fatalf("make client: %v", err)
	}
}
