// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// handshakeTimeout bounds the way from the first packet to an open tunnel.
	handshakeTimeout = 30 * time.Second
	// stableAfter is how long a tunnel must have lived for the next one to be
	// opened without the delay that earlier failures built up.
	stableAfter = time.Minute
	// unreadStream is how long the API server may take to read the rest of a stream
	// that the agent is done with: a user may look at it page by page.
	unreadStream = 5 * time.Minute
	// readHeaderTimeout bounds the head of a request.
	readHeaderTimeout = 30 * time.Second
	// maxStatus is how much of a refusal is read.
	maxStatus = 64 << 10
)

// reconnect is how long to wait between attempts: Jitter adds up to as much
// again, so that many agents do not come back at once. 0.5 s to 15 s.
var reconnect = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 1, Steps: 30, Cap: 7500 * time.Millisecond}

// AgentOptions configure an Agent.
type AgentOptions struct {
	// Cluster is the name of the member.
	Cluster string
	// Fleet reaches the fleet's API server. It is read once, so credentials that
	// change must do so under it: CertFile and KeyFile, or a Transport with
	// GetClientCertificate. A Transport must be an *http.Transport; a copy that
	// speaks HTTP/1.1 only is used. The environment's HTTP(S)_PROXY is honoured.
	Fleet *rest.Config
	// Handler serves the requests that come through the tunnel.
	Handler http.Handler
	// Clock paces reconnection; nil is the real one.
	Clock clock.WithTicker
}

// Agent is the member's end of a tunnel.
type Agent struct {
	cluster   string
	url       *url.URL
	transport http.RoundTripper
	handler   http.Handler
	clock     clock.WithTicker
	renew     chan struct{}
	open      atomic.Int32 // tunnels
}

// NewAgent returns an agent that is not connected yet.
func NewAgent(opts AgentOptions) (*Agent, error) {
	config, err := withoutHTTP2(opts.Fleet)
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("make transport to the fleet: %w", err)
	}
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("find the fleet at %q: %w", config.Host, err)
	}
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	return &Agent{
		cluster:   opts.Cluster,
		url:       server.JoinPath("apis", clusterv1alpha1.GroupName, clusterv1alpha1.SchemeGroupVersion.Version, "clusters", opts.Cluster, "tunnel"),
		transport: transport,
		handler:   opts.Handler,
		clock:     opts.Clock,
		renew:     make(chan struct{}, 1),
	}, nil
}

// Connected says whether a tunnel is open.
func (a *Agent) Connected() bool { return a.open.Load() > 0 }

// Renew opens a new tunnel now, with the credentials of the moment. The one that
// is open ends when the last request on it does. It does not block.
func (a *Agent) Renew() {
	select {
	case a.renew <- struct{}{}:
	default: // asked for already
	}
}

// Run keeps a tunnel open until ctx ends. It returns after everything that came
// through the tunnel has ended.
func (a *Agent) Run(ctx context.Context) {
	var serving sync.WaitGroup
	defer serving.Wait()
	logger := klog.FromContext(ctx)
	delay := reconnect
	for ctx.Err() == nil {
		started := a.clock.Now()
		err := a.runOne(ctx, &serving)
		if a.clock.Since(started) >= stableAfter {
			delay = reconnect
		}
		if err == nil || ctx.Err() != nil {
			continue // renewed, or done
		}
		pause := delay.Step()
		logger.Info("Tunnel to the fleet is not open", "reason", err.Error(), "retryAfter", pause.Round(time.Millisecond))
		select {
		case <-a.clock.After(pause):
		case <-ctx.Done():
		}
	}
}

// runOne opens a tunnel and returns why it ended, or nil when it is to be
// renewed; it is then still served.
func (a *Agent) runOne(ctx context.Context, serving *sync.WaitGroup) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	link, err := newLink(conn, false, unreadStream, klog.FromContext(ctx), a.clock)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	ended := make(chan error, 1)
	a.open.Add(1)
	serving.Go(func() {
		defer a.open.Add(-1)
		ended <- a.serve(ctx, link)
	})
	klog.FromContext(ctx).V(2).Info("Tunnel to the fleet opened")
	select {
	case <-a.renew:
		return nil
	case err := <-ended:
		return err
	}
}

// dial opens a connection to the fleet that is ready to carry a session.
func (a *Agent) dial(ctx context.Context) (io.ReadWriteCloser, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", wellknown.TunnelProtocol)
	request.Header.Set("Accept", "application/json")
	response, err := a.transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("open tunnel to %s: %w", a.url.Host, err)
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		defer response.Body.Close() //nolint:errcheck // only read
		return nil, fmt.Errorf("open tunnel to %s: %w", a.url.Host, refusal(response))
	}
	conn, ok := response.Body.(io.ReadWriteCloser)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open tunnel to %s: the connection cannot be written to: %T", a.url.Host, response.Body), response.Body.Close())
	}
	return conn, nil
}

// refusal is the error in an answer that is not an upgrade.
func refusal(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxStatus))
	if err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	status := metav1.Status{}
	if json.Unmarshal(body, &status) == nil && status.Kind == "Status" {
		return &apierrors.StatusError{ErrStatus: status}
	}
	return fmt.Errorf("the server answered %s", response.Status)
}

// serve answers what comes through the link until it ends, and returns why.
func (a *Agent) serve(ctx context.Context, link *link) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { link.close(ErrShutdown) })
	defer stop()
	var alive sync.WaitGroup
	alive.Go(link.keepAlive)
	defer alive.Wait()
	handler := &gate{handler: a.handler}
	server := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog:          log.New(errorLog{klog.FromContext(ctx)}, "", 0),
	}
	err := link.ended(server.Serve(link))
	link.close(err)
	cancel()
	handler.close()
	return err
}

// gate serves requests until it is closed.
type gate struct {
	handler http.Handler

	mu     sync.RWMutex // read-locked by each request
	closed bool         // guarded by mu
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if !g.closed {
		g.handler.ServeHTTP(w, req)
	}
}

// close returns when no request is served any more.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// errorLog is what the HTTP server says about single streams.
type errorLog struct{ logger klog.Logger }

// Write implements io.Writer.
func (l errorLog) Write(p []byte) (int, error) {
	l.logger.V(4).Info("Serving a request of the fleet", "message", string(p))
	return len(p), nil
}
