// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
)

// forwardedHeaders say through whom a request came; the member's audit log shows
// them.
var forwardedHeaders = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// NewMemberHandler returns a handler that forwards requests to the API server
// that config reaches, with the credentials in config: watches and logs as they
// come, exec, attach and port-forward over SPDY and websockets. Requests that do
// not impersonate a user are refused: those would be answered with the rights of
// the agent itself.
func NewMemberHandler(config *rest.Config) (http.Handler, error) {
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("find the member at %q: %w", config.Host, err)
	}
	config = rest.CopyConfig(config)
	config.DisableCompression = true // what the member sent is passed on as it is
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("make transport to the member: %w", err)
	}
	if config, err = withoutHTTP2(config); err != nil {
		return nil, err
	}
	upgrades, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("make transport to the member: %w", err)
	}
	return &memberHandler{
		plain:    newMemberProxy(server, transport),
		upgrades: newMemberProxy(server, upgrades),
	}, nil
}

type memberHandler struct{ plain, upgrades http.Handler }

// ServeHTTP implements http.Handler.
func (h *memberHandler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get(authenticationv1.ImpersonateUserHeader) == "" {
		writeStatus(w, apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("the agent forwards requests that impersonate a user only")))
		return
	}
	if httpstream.IsUpgradeRequest(req) {
		h.upgrades.ServeHTTP(w, req)
		return
	}
	h.plain.ServeHTTP(w, req)
}

func newMemberProxy(server *url.URL, transport http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			// Credentials of our own are put in by the transport, unless there are some.
			r.Out.Header.Del("Authorization")
			for _, name := range forwardedHeaders {
				if values := r.In.Header.Values(name); len(values) > 0 {
					r.Out.Header[name] = values
				}
			}
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(errorLog{klog.Background()}, "", 0),
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				return // nobody waits for an answer
			}
			klog.FromContext(req.Context()).V(2).Info("Member's API server does not answer", "reason", err.Error())
			writeStatus(w, apierrors.NewServiceUnavailable(fmt.Sprintf("the agent cannot reach the API server of the member: %v", err)))
		},
	}
}

// writeStatus answers as an API server would.
func writeStatus(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	body, marshalErr := json.Marshal(status)
	if marshalErr != nil {
		http.Error(w, err.Error(), int(status.Code))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(status.Code))
	_, _ = w.Write(body) // the stream is gone
}
