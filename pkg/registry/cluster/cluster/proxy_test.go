// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"fleet.dev/fleet/pkg/apis/cluster"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

const proxyPrefix = "/apis/cluster.fleet.dev/v1alpha1/clusters/paris/proxy"

func TestTargetOf(t *testing.T) {
	tests := map[string]struct {
		reason string
		url    string
		path   string // as the options have it
		want   string
		refuse bool
	}{
		"Root":      {reason: "the root of the member lists its paths", url: proxyPrefix, want: "/"},
		"Path":      {reason: "what follows proxy is asked", url: proxyPrefix + "/api/v1/pods", want: "/api/v1/pods"},
		"Slash":     {reason: "a slash at the end matters to applications in Pods", url: proxyPrefix + "/api/", want: "/api/"},
		"Escaped":   {reason: "escapes stay", url: proxyPrefix + "/api/a%2Fb/c%3Ad", want: "/api/a%2Fb/c%3Ad"},
		"Query":     {reason: "so does the query, letter for letter", url: proxyPrefix + "/api?a=1&path=%2Fx&a=2;b", want: "/api?a=1&path=%2Fx&a=2;b"},
		"OtherURL":  {reason: "a prefix that is written otherwise leaves what the server parsed", url: "/apis/cluster.fleet.dev/v1alpha1/clusters/%70aris/proxy/api", path: "/api", want: "/api"},
		"Dots":      {reason: "the path of an endpoint is not left", url: proxyPrefix + "/../api", refuse: true},
		"Escapes":   {reason: "nor with escapes", url: proxyPrefix + "/%2e%2E/api", refuse: true},
		"DotsInTwo": {reason: "dots in a name are no way out", url: proxyPrefix + "/api/a..b", want: "/api/a..b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := targetOf(httptest.NewRequestWithContext(t.Context(), http.MethodGet, tc.url, nil), "paris", tc.path)
			if tc.refuse {
				if !apierrors.IsBadRequest(err) {
					t.Errorf("%s: want a bad request, got %v, %v", tc.reason, got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got.String()); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestDropIdentity(t *testing.T) {
	header := http.Header{}
	for _, name := range []string{"Authorization", "Impersonate-User", "Impersonate-Uid", "Impersonate-Extra-A", "X-Remote-User", "X-Remote-Extra-A", "Accept", "X-Custom"} {
		header.Set(name, "x")
	}
	dropIdentity(header)
	if diff := cmp.Diff(http.Header{"Accept": {"x"}, "X-Custom": {"x"}}, header); diff != "" {
		t.Errorf("nobody says who a request is from but this server: -want +got:\n%s", diff)
	}
}

func TestQueryAside(t *testing.T) {
	tests := map[string]struct {
		reason    string
		info      request.RequestInfo
		forServer string
	}{
		"Proxied":         {reason: "the query is the member's", info: request.RequestInfo{APIGroup: cluster.GroupName, Resource: "clusters", Subresource: "proxy"}},
		"Cluster":         {reason: "the Cluster itself is this server's", info: request.RequestInfo{APIGroup: cluster.GroupName, Resource: "clusters"}, forServer: "dryRun=All"},
		"AnotherResource": {reason: "so is everything else", info: request.RequestInfo{Resource: "services", Subresource: "proxy"}, forServer: "dryRun=All"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequestWithContext(request.WithRequestInfo(t.Context(), &tc.info), http.MethodGet, "/x?dryRun=All", nil)
			WithQueryAside(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				if diff := cmp.Diff([]string{tc.forServer, "dryRun=All"}, []string{req.URL.RawQuery, QueryFrom(req)}); diff != "" {
					t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
				}
			})).ServeHTTP(httptest.NewRecorder(), req)
		})
	}
}

func TestMayOpen(t *testing.T) {
	tests := map[string]struct {
		reason string
		agent  func(*user.DefaultInfo)
		member func(*cluster.Cluster)
		want   string
	}{
		"Agent":       {reason: "the agent of the member may"},
		"Another":     {reason: "that of another may not", agent: func(u *user.DefaultInfo) { u.Name = wellknown.UserClusterPrefix + "rome" }, want: "only the agent of the cluster"},
		"NoGroup":     {reason: "a name alone is not enough", agent: func(u *user.DefaultInfo) { u.Groups = []string{wellknown.GroupExpiredClusters} }, want: "only the agent of the cluster"},
		"AnotherID":   {reason: "a Cluster may have been made anew for another member", agent: func(u *user.DefaultInfo) { u.UID = "other" }, want: "in another cluster"},
		"Push":        {reason: "the fleet dials such members", member: func(c *cluster.Cluster) { c.Spec.SyncMode = cluster.Push }, want: "not in Pull mode"},
		"NotAccepted": {reason: "an administrator comes first", member: func(c *cluster.Cluster) { c.Spec.Accepted = false }, want: "not accepted"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			agent := &user.DefaultInfo{Name: wellknown.UserClusterPrefix + "m1", UID: "id", Groups: []string{wellknown.GroupClusters}}
			if tc.agent != nil {
				tc.agent(agent)
			}
			err := mayOpen(agent, member(func(c *cluster.Cluster) {
				c.Spec.SyncMode, c.Spec.Accepted, c.Spec.ID = cluster.Pull, true, "id"
				if tc.member != nil {
					tc.member(c)
				}
			}))
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: want %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}
