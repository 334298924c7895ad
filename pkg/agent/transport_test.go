// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"
)

// TestTransportRenew changes the certificate under a watch.
func TestTransportRenew(t *testing.T) {
	ca := newAuthority(t)
	next := make(chan string)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Every answer begins with the serial number of the client's certificate.
		_, _ = fmt.Fprintf(w, "%s\n", r.TLS.PeerCertificates[0].SerialNumber)
		if r.URL.Path != "/watch" {
			return
		}
		for {
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case event := <-next:
				_, _ = fmt.Fprintf(w, "%s\n", event)
			}
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, ClientCAs: x509.NewCertPool()}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	certificates := &certificates{}
	certificates.current.Store(pairOf(t, ca))
	link, err := newTransport(&rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}, certificates.current.Load)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.close)
	get := func(path string) io.ReadCloser {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := link.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.ProtoMajor != 2 {
			t.Errorf("requests share a connection: %s, want HTTP/2", response.Proto)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return response.Body
	}
	line := func(from *bufio.Reader) string {
		t.Helper()
		text, err := from.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return text[:len(text)-1]
	}
	serial := func() string { return certificates.current.Load().Leaf.SerialNumber.String() }

	first := serial()
	watch := bufio.NewReader(get("/watch"))
	if got := line(watch); got != first {
		t.Errorf("the watch came with certificate %s, want %s", got, first)
	}
	for range 3 {
		certificates.current.Store(pairOf(t, ca))
		if err := link.renew(); err != nil {
			t.Fatal(err)
		}
		if got, want := line(bufio.NewReader(get("/get"))), serial(); got != want {
			t.Errorf("a request came with certificate %s, want the new %s", got, want)
		}
		next <- "event"
		if got := line(watch); got != "event" {
			t.Errorf("the watch goes on: got %q", got)
		}
	}
}

// pairOf returns a certificate with its key.
func pairOf(t *testing.T, ca *authority) *tls.Certificate {
	t.Helper()
	fleet := &fakeFleet{T: t, authority: ca}
	credentials := fleet.issue(t)
	pair, err := tls.X509KeyPair(credentials.Certificate, credentials.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}
