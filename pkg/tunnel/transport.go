// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"crypto/tls"
	"fmt"
	"net/http"

	"k8s.io/client-go/rest"
)

// http1 is the only protocol in which a connection can be upgraded to another.
const http1 = "http/1.1"

// withoutHTTP2 returns a copy of the configuration whose connections can be
// upgraded.
func withoutHTTP2(config *rest.Config) (*rest.Config, error) {
	config = rest.CopyConfig(config)
	if config.Transport == nil {
		config.NextProtos = []string{http1}
		return config, nil
	}
	given, ok := config.Transport.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("make transport without HTTP/2: want an *http.Transport, got %T", config.Transport)
	}
	transport := given.Clone()
	transport.ForceAttemptHTTP2 = false
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if transport.TLSClientConfig != nil {
		transport.TLSClientConfig.NextProtos = []string{http1}
	}
	config.Transport = transport
	return config, nil
}
