// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net/http"

	"k8s.io/apiserver/pkg/endpoints/request"

	"fleet.dev/fleet/pkg/apis/cluster"
)

type queryKey struct{}

// WithQueryAside wraps the handler of a whole server: the query of requests that
// are proxied to a member is the member's to read. Otherwise dryRun, which this
// server does not know for proxied requests, would be refused, and with it
// "kubectl diff" on a member. QueryFrom returns it.
func WithQueryAside(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		info, ok := request.RequestInfoFrom(req.Context())
		if ok && req.URL.RawQuery != "" && info.APIGroup == cluster.GroupName && info.Resource == "clusters" && info.Subresource == "proxy" {
			aside := *req.URL
			aside.RawQuery = ""
			req = req.WithContext(context.WithValue(req.Context(), queryKey{}, req.URL.RawQuery))
			req.URL = &aside
		}
		handler.ServeHTTP(w, req)
	})
}

// QueryFrom returns the query of a proxied request as it came.
func QueryFrom(req *http.Request) string {
	if query, ok := req.Context().Value(queryKey{}).(string); ok {
		return query
	}
	return req.URL.RawQuery
}
