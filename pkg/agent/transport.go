// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

const (
	// dialTimeout is short, because behind a link that is cut only the next
	// attempt finds that it is back.
	dialTimeout = 5 * time.Second
	// tcpKeepAlive is for connections without HTTP/2.
	tcpKeepAlive = 10 * time.Second
	// quietTimeout is how long a connection may be silent before the fleet is
	// asked whether it is there, and pingTimeout how long it may take to answer. A
	// watch on a link that was cut would otherwise wait for TCP to give up.
	quietTimeout = 10 * time.Second
	pingTimeout  = 5 * time.Second
	// idleTimeout closes connections nobody uses, among them those of earlier
	// certificates.
	idleTimeout = 90 * time.Second
)

// transport sends requests to the fleet with the certificate of the moment. A
// new certificate means new connections for new requests; those under way,
// watches included, go on undisturbed on the connection they began on, which is
// closed after the last of them.
type transport struct {
	config      *rest.Config
	certificate func() *tls.Certificate
	current     atomic.Pointer[http.Transport]
}

// newTransport reaches the API server of config, whose own credentials it ignores.
func newTransport(config *rest.Config, certificate func() *tls.Certificate) (*transport, error) {
	t := &transport{config: rest.AnonymousClientConfig(config), certificate: certificate}
	first, err := t.make()
	if err != nil {
		return nil, err
	}
	t.current.Store(first)
	return t, nil
}

// make returns a transport whose connections show the certificate of the time
// they are opened.
func (t *transport) make() (*http.Transport, error) {
	tlsConfig, err := rest.TLSConfigFor(t.config)
	if err != nil {
		return nil, fmt.Errorf("configure TLS to the fleet: %w", err)
	}
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// Not Certificates: those are left out when they do not match what the server
	// asks for, and the error is then a riddle.
	tlsConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.certificate(), nil }
	proxy := t.config.Proxy
	if proxy == nil {
		proxy = utilnet.NewProxierWithNoProxyCIDR(http.ProxyFromEnvironment)
	}
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: tcpKeepAlive}).DialContext,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout:     idleTimeout,
		MaxIdleConnsPerHost: 25,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: quietTimeout, PingTimeout: pingTimeout},
	}, nil
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	return t.current.Load().RoundTrip(request)
}

// renew has new requests use connections of their own.
func (t *transport) renew() error {
	next, err := t.make()
	if err != nil {
		return err
	}
	t.current.Swap(next).CloseIdleConnections()
	return nil
}

// close closes the connections nobody uses.
func (t *transport) close() { t.current.Load().CloseIdleConnections() }

// requests is the configuration of clients.
func (t *transport) requests() *rest.Config {
	return &rest.Config{Host: t.config.Host, APIPath: t.config.APIPath, UserAgent: userAgent, Transport: t}
}

// upgrades is the configuration of the tunnel, which makes a transport of its
// own from the one in it.
func (t *transport) upgrades() (*rest.Config, error) {
	own, err := t.make()
	if err != nil {
		return nil, err
	}
	return &rest.Config{Host: t.config.Host, APIPath: t.config.APIPath, UserAgent: userAgent, Transport: own}, nil
}
