// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// fleet is an API server as far as tunnels go.
type fleet struct {
	*Registry
	config *rest.Config
	server *httptest.Server

	mu     sync.Mutex
	refuse error
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{Registry: NewRegistry(clock.RealClock{})}
	f.server = httptest.NewUnstartedServer(f)
	f.server.EnableHTTP2 = true
	f.server.StartTLS()
	t.Cleanup(f.server.Close)
	t.Cleanup(f.Close)
	f.config = &rest.Config{Host: f.server.URL, TLSClientConfig: rest.TLSClientConfig{
		CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw}),
	}}
	return f
}

func (f *fleet) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	cluster, ok := strings.CutPrefix(req.URL.Path, "/apis/cluster.fleet.dev/v1alpha1/clusters/")
	cluster, isTunnel := strings.CutSuffix(cluster, "/tunnel")
	if !ok || !isTunnel || req.Method != http.MethodPost {
		http.NotFound(w, req)
		return
	}
	f.mu.Lock()
	err := f.refuse
	f.mu.Unlock()
	if err == nil {
		err = f.ServeUpgrade(w, req, Peer{Cluster: cluster})
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		writeStatus(w, &apierrors.StatusError{ErrStatus: status.Status()})
	}
}

func (f *fleet) setRefusal(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = err
}

// get asks the member of a cluster through its tunnel.
func (f *fleet) get(ctx context.Context, cluster, path string) (string, error) {
	transport, err := f.Transport(cluster)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://member"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// startAgent runs an agent until the test ends or stop is called.
func startAgent(t *testing.T, f *fleet, cluster string, handler http.Handler) (agent *Agent, stop func()) {
	t.Helper()
	agent, err := NewAgent(AgentOptions{Cluster: cluster, Fleet: f.config, Handler: handler})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { agent.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return agent, stop
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return condition(), nil
	}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// echo answers with the path it was asked for.
func echo(prefix string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { _, _ = fmt.Fprint(w, prefix+req.URL.Path) })
}

func TestTunnel(t *testing.T) {
	f := newFleet(t)
	if _, err := f.get(t.Context(), "paris", "/api"); !errors.Is(err, ErrNotConnected) {
		t.Errorf("a member without an agent cannot be reached: want %v, got %v", ErrNotConnected, err)
	}
	agent, stop := startAgent(t, f, "paris", echo("paris"))
	startAgent(t, f, "rome", echo("rome"))
	eventually(t, "connect", func() bool { return len(f.Clusters()) == 2 && agent.Connected() })
	for _, cluster := range []string{"paris", "rome"} {
		got, err := f.get(t.Context(), cluster, "/api")
		if diff := cmp.Diff(cluster+"/api", got); diff != "" || err != nil {
			t.Errorf("each cluster answers for itself: %v -want +got:\n%s", err, diff)
		}
	}
	stop()
	eventually(t, "disconnect", func() bool { return !f.Has("paris") })
	if agent.Connected() {
		t.Error("an agent that was stopped is not connected")
	}
}

func TestReconnect(t *testing.T) {
	f := newFleet(t)
	f.setRefusal(apierrors.NewForbidden(schema.GroupResource{Group: "cluster.fleet.dev", Resource: "clusters"}, "paris", errors.New("not accepted")))
	startAgent(t, f, "paris", echo(""))
	for range 2 {
		f.setRefusal(nil)
		eventually(t, "connect", func() bool { return f.Has("paris") })
		f.setRefusal(errors.New("down"))
		f.Disconnect("paris", errors.New("test"))
		eventually(t, "disconnect", func() bool { return !f.Has("paris") })
	}
}

func TestRefusal(t *testing.T) {
	f := newFleet(t)
	f.setRefusal(apierrors.NewForbidden(schema.GroupResource{Group: "cluster.fleet.dev", Resource: "clusters"}, "paris", errors.New("not accepted")))
	agent, err := NewAgent(AgentOptions{Cluster: "paris", Fleet: f.config, Handler: echo("")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.dial(t.Context()); !apierrors.IsForbidden(err) {
		t.Errorf("the agent knows why it is refused: got %v", err)
	}
}
