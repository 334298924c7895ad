// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/server/egressselector"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/apis/core"
	kubeletclient "k8s.io/kubernetes/pkg/kubelet/client"
	"k8s.io/streaming/pkg/httpstream"
)

const (
	// kubeletPort stands in for the port of a kubelet that says none.
	kubeletPort = 10250
	// maxRefusal is how much of a member's refusal is read.
	maxRefusal = 64 << 10
	// headerTimeout bounds how long upstream's client may take to ask.
	headerTimeout = 10 * time.Second
)

// errClosed is returned to those who dial kubelets of a server that stops.
var errClosed = errors.New("the API server is stopping")

// Kubelets is what the API server takes for the kubelets of members' Nodes. It
// speaks the kubelet's protocol for logs, exec, attach and port-forward to
// upstream's subresources of Pods, inside this process, and asks the API server of
// the member the same.
//
//	kubectl ─► pods/exec ─► upstream's registry ─► Kubelets ─► member: pods/exec
//
// So admission, authorization and the translation of WebSockets are upstream's.
type Kubelets struct {
	projections *Projections
	certificate tls.Certificate

	mu     sync.Mutex
	conns  map[net.Conn]struct{} // guarded by mu
	closed bool                  // guarded by mu
	calls  chan net.Conn
	done   chan struct{}
}

// NewKubelets returns the kubelets of projected Pods. They answer while Run runs.
func NewKubelets(projections *Projections) (*Kubelets, error) {
	certificate, key, err := certutil.GenerateSelfSignedCertKey("fleet-kubelets", nil, nil)
	if err != nil {
		return nil, fmt.Errorf("make certificate of kubelets: %w", err)
	}
	k := &Kubelets{projections: projections, conns: map[net.Conn]struct{}{}, calls: make(chan net.Conn), done: make(chan struct{})}
	if k.certificate, err = tls.X509KeyPair(certificate, key); err != nil {
		return nil, fmt.Errorf("make certificate of kubelets: %w", err)
	}
	return k, nil
}

// ClientConfig makes upstream's client of kubelets dial these. The connection does
// not leave the process, so there is nobody to verify.
func (k *Kubelets) ClientConfig() kubeletclient.KubeletClientConfig {
	return kubeletclient.KubeletClientConfig{
		Port:                  kubeletPort,
		PreferredAddressTypes: []string{string(AddressType)},
		Lookup: func(egressselector.NetworkContext) (utilnet.DialFunc, error) {
			return k.dial, nil
		},
	}
}

// dial connects to the kubelet of any Node.
func (k *Kubelets) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far, err := socketPair()
	if err != nil {
		return nil, err
	}
	select {
	case k.calls <- far:
		return near, nil
	case <-k.done:
		err = errClosed
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, near.Close(), far.Close())
}

// Accept implements net.Listener.
func (k *Kubelets) Accept() (net.Conn, error) {
	select {
	case conn := <-k.calls:
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.closed {
			return nil, errors.Join(net.ErrClosed, conn.Close())
		}
		kept := &keptConn{Conn: conn, kubelets: k}
		k.conns[kept] = struct{}{}
		return kept, nil
	case <-k.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It ends what runs over the connections as well:
// the server does not know those that were upgraded.
func (k *Kubelets) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	close(k.done)
	for conn := range k.conns {
		go conn.Close() //nolint:errcheck // what was sent on it is lost either way
	}
	return nil
}

// Addr implements net.Listener.
func (k *Kubelets) Addr() net.Addr { return &net.UnixAddr{Name: "kubelets", Net: "unix"} }

// keptConn is a connection that is closed with the listener.
type keptConn struct {
	net.Conn

	kubelets *Kubelets
}

// Close implements net.Conn.
func (c *keptConn) Close() error {
	c.kubelets.mu.Lock()
	delete(c.kubelets.conns, c)
	c.kubelets.mu.Unlock()
	return c.Conn.Close()
}

// Run answers until the context ends.
func (k *Kubelets) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           k,
		ReadHeaderTimeout: headerTimeout,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{k.certificate}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}},
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.ServeTLS(k, "", "")
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return err
}

// ServeHTTP implements http.Handler.
func (k *Kubelets) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	asked, err := askedOf(req.URL)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	member, name, ok := k.projections.FindPod(asked.namespace, asked.pod)
	if !ok {
		http.Error(w, fmt.Sprintf("pod %q is not in a member any more", asked.pod), http.StatusNotFound)
		return
	}
	way, err := k.projections.options.Members.Way(req.Context(), member, httpstream.IsUpgradeRequest(req))
	if err != nil {
		http.Error(w, fmt.Sprintf("member %q cannot be reached: %v", member, err), http.StatusServiceUnavailable)
		return
	}
	newKubeletProxy(member, way, asked.inMember(name)).ServeHTTP(w, req)
}

// newKubeletProxy forwards one request to a member.
func newKubeletProxy(member string, way Way, target *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Path, r.Out.URL.RawPath, r.Out.URL.RawQuery = target.Path, "", target.RawQuery
			r.SetURL(way.URL)
			r.Out.Header.Del("Authorization")
		},
		Transport:     way.Transport,
		FlushInterval: -1, // logs come as they happen
		ModifyResponse: func(response *http.Response) error {
			if response.StatusCode >= http.StatusBadRequest {
				return sayWho(member, response)
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			klog.FromContext(req.Context()).V(4).Info("Asking a member about a Pod", "cluster", member, "reason", err.Error())
			if req.Context().Err() == nil {
				http.Error(w, fmt.Sprintf("member %q cannot be reached: %v", member, err), http.StatusServiceUnavailable)
			}
		},
	}
}

// sayWho makes a refusal one of a kubelet, in plain text, with the member's name.
func sayWho(member string, response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err != nil {
		return fmt.Errorf("read the answer of member %q: %w", member, err)
	}
	_ = response.Body.Close()
	message := strings.TrimSpace(string(body))
	status := &metav1.Status{}
	if json.Unmarshal(body, status) == nil && status.Message != "" {
		message = status.Message
	}
	said := fmt.Appendf(nil, "member %q: %s", member, message)
	response.Body = io.NopCloser(bytes.NewReader(said))
	response.ContentLength = int64(len(said))
	response.Header.Set("Content-Length", fmt.Sprint(len(said)))
	response.Header.Set("Content-Type", "text/plain; charset=utf-8")
	return nil
}

// asked is what upstream asks of a kubelet.
type asked struct {
	subresource               string
	namespace, pod, container string
	query                     url.Values
}

// kubeletPaths are the first elements of paths, by the subresource they serve.
var kubeletPaths = map[string]string{"containerLogs": "log", "exec": "exec", "attach": "attach", "portForward": "portforward"}

// askedOf reads a URL of a kubelet.
func askedOf(from *url.URL) (*asked, error) {
	parts := strings.Split(strings.TrimPrefix(from.Path, "/"), "/")
	subresource := kubeletPaths[parts[0]]
	if subresource == "" || len(parts) < 3 || len(parts) > 4 {
		return nil, fmt.Errorf("there is no %s in members", from.Path)
	}
	made := &asked{subresource: subresource, namespace: parts[1], pod: parts[2], query: from.Query()}
	if len(parts) == 4 {
		made.container = parts[3]
	}
	return made, nil
}

// inMember is what is asked of the member's API server about a Pod with a name
// there.
func (a *asked) inMember(name string) *url.URL {
	query := url.Values{}
	if a.container != "" {
		query.Set("container", a.container)
	}
	switch a.subresource {
	case "log":
		maps.Copy(query, a.query)
	case "portforward":
		if ports := a.query.Get(core.PortHeader); ports != "" {
			query["ports"] = strings.Split(ports, ",")
		}
	default:
		query["command"] = a.query["command"]
		for key, param := range map[string]string{
			"stdin": core.ExecStdinParam, "stdout": core.ExecStdoutParam, "stderr": core.ExecStderrParam, "tty": core.ExecTTYParam,
		} {
			query.Set(key, fmt.Sprint(a.query.Get(param) == "1"))
		}
	}
	return &url.URL{Path: fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/%s", a.namespace, name, a.subresource), RawQuery: query.Encode()}
}

// FindPod finds the member of a Pod and its name there.
func (p *Projections) FindPod(namespace, name string) (member, inMember string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.surfaces {
		if s.kind.Resource != corev1.SchemeGroupVersion.WithResource("pods") {
			continue
		}
		found, claimed, ok := s.union.find(namespace + "/" + name)
		if ok && found.member == "" {
			found, ok = s.union.findCopy(claimed)
		}
		if !ok {
			return "", "", false
		}
		_, wanted := splitKey(claimed)
		return found.member, s.kind.nameIn(found.member, wanted), true
	}
	return "", "", false
}
