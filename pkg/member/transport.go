// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"net/http"
	"sync/atomic"
)

// transport puts the current token on every request to the member, and gives
// notice when a request does not get through.
type transport struct {
	base  http.RoundTripper
	token atomic.Pointer[string]
	// failed is called when no answer came or the token was refused. It must not
	// block.
	failed func()
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if token := t.token.Load(); token != nil && *token != "" {
		request = request.Clone(request.Context())
		request.Header.Set("Authorization", "Bearer "+*token)
	}
	response, err := t.base.RoundTrip(request)
	switch {
	case err != nil && request.Context().Err() == nil:
		t.failed()
	case err == nil && response.StatusCode == http.StatusUnauthorized:
		t.failed()
	}
	return response, err
}

// WrappedRoundTripper lets client-go see through to the transport below.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.base }
