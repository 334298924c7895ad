// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilproxy "k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/registry/resource"
)

// Members is how proxied requests get to members.
type Members interface {
	// Way returns how a request of a user gets to a member. upgrade says that it
	// asks for another protocol. Errors are Statuses that name the member and say
	// what to do.
	Way(ctx context.Context, member *cluster.Cluster, from user.Info, upgrade bool) (Way, error)
	// Until returns a context that ends with the given one and when the server
	// stops, which does not wait for connections that were upgraded.
	Until(ctx context.Context) (context.Context, context.CancelFunc)
}

// Way is how a request gets to a member.
type Way struct {
	// URL is where the member answers; what is asked of it comes after its path.
	URL *url.URL
	// Transport carries the request there, in the name of the user.
	Transport http.RoundTripper
}

// getter reads a Cluster.
type getter interface {
	Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error)
}

// get reads a Cluster as it is now: who has just changed it sees the effect.
func get(ctx context.Context, clusters getter, name string) (*cluster.Cluster, error) {
	obj, err := clusters.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*cluster.Cluster), nil
}

// ProxyREST forwards requests to a member in the name of their user. What the
// user may do there the member decides.
type ProxyREST struct {
	clusters getter
	members  Members
}

var _ rest.Connecter = &ProxyREST{}

// NewProxyREST returns the subresource.
func NewProxyREST(clusters *resource.REST, members Members) *ProxyREST {
	return &ProxyREST{clusters: clusters, members: members}
}

// New implements rest.Storage.
func (r *ProxyREST) New() runtime.Object { return &cluster.ClusterProxyOptions{} }

// Destroy implements rest.Storage; the store belongs to the resource.
func (r *ProxyREST) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (r *ProxyREST) ConnectMethods() []string {
	return []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
}

// NewConnectOptions implements rest.Connecter.
func (r *ProxyREST) NewConnectOptions() (options runtime.Object, subpath bool, subpathKey string) {
	return &cluster.ClusterProxyOptions{}, true, "path"
}

// Connect implements rest.Connecter.
func (r *ProxyREST) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	opts, ok := options.(*cluster.ClusterProxyOptions)
	if !ok {
		return nil, fmt.Errorf("proxy to cluster %q: unexpected options %T", name, options)
	}
	from, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("proxy to cluster %q: the request has no user", name))
	}
	member, err := get(ctx, r.clusters, name)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		target, err := targetOf(req, name, opts.Path)
		if err != nil {
			responder.Error(err)
			return
		}
		way, err := r.members.Way(ctx, member, from, httpstream.IsUpgradeRequest(req))
		if err != nil {
			responder.Error(err)
			return
		}
		ctx, cancel := r.members.Until(req.Context())
		defer cancel()
		newProxy(name, way, target, responder).ServeHTTP(w, req.WithContext(ctx)) //nolint:contextcheck // it is that of the request, ended earlier
	}), nil
}

// targetOf is what is asked of the member: what follows proxy in the URL of the
// request, escaped as it came, and its query.
func targetOf(req *http.Request, name, path string) (*url.URL, error) {
	prefix := "/apis/" + clusterv1alpha1.SchemeGroupVersion.String() + "/clusters/" + name + "/proxy"
	target := &url.URL{Path: path}
	if escaped, ok := strings.CutPrefix(req.URL.EscapedPath(), prefix); ok {
		parsed, err := url.Parse("http://member" + escaped)
		if err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("proxy to cluster %q: %v", name, err))
		}
		target.Path, target.RawPath = parsed.Path, parsed.RawPath
	}
	if slices.ContainsFunc(strings.Split(target.Path, "/"), func(s string) bool { return s == "." || s == ".." }) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("proxy to cluster %q: the path %q must not have the elements . and ..", name, target.Path))
	}
	if target.Path == "" {
		target.Path = "/"
	}
	target.RawQuery = QueryFrom(req)
	return target, nil
}

// newProxy forwards one request. The standard library's proxy also upgrades
// connections, through whatever proxy is in between; upstream's dials by itself
// and goes past it.
func newProxy(name string, way Way, target *url.URL, responder rest.Responder) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Path, r.Out.URL.RawPath, r.Out.URL.RawQuery = target.Path, target.RawPath, target.RawQuery
			r.SetURL(way.URL)
			r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			r.SetXForwarded()
			dropIdentity(r.Out.Header)
		},
		Transport: &utilproxy.Transport{
			PathPrepend:  "/apis/" + clusterv1alpha1.SchemeGroupVersion.String() + "/clusters/" + name + "/proxy",
			RoundTripper: way.Transport,
		},
		FlushInterval: -1, // watches and logs come as they happen
		ModifyResponse: func(response *http.Response) error {
			// Set on the way in by this server; twice they confuse.
			response.Header.Del("Audit-Id")
			response.Header.Del("Cache-Control")
			if RefusesFleet(response) {
				return errors.New("it refuses the credentials of the fleet or of its agent")
			}
			return nil
		},
		ErrorLog: log.New(copyLog{klog.Background()}, "", 0),
		ErrorHandler: func(_ http.ResponseWriter, req *http.Request, err error) {
			if req.Context().Err() != nil {
				return // nobody waits for an answer
			}
			responder.Error(failed(name, err))
		},
	}
}

// dropIdentity removes all that says who a request is from; the transport says it
// anew.
func dropIdentity(header http.Header) {
	header.Del("Authorization")
	for name := range header {
		if strings.HasPrefix(name, "Impersonate-") || strings.HasPrefix(name, "X-Remote-") {
			delete(header, name)
		}
	}
}

// failed is the answer to a request that got none from the member.
func failed(name string, err error) error {
	message := err.Error()
	if status, ok := err.(apierrors.APIStatus); ok {
		message = strings.TrimPrefix(status.Status().Message, "error trying to reach service: ")
	}
	return Unreachable(name, message)
}

// Unreachable returns the error for a member that cannot be reached for a reason.
func Unreachable(name, reason string) *apierrors.StatusError {
	err := apierrors.NewServiceUnavailable(fmt.Sprintf("cluster %q cannot be reached: %s", name, reason))
	err.ErrStatus.Details = &metav1.StatusDetails{Group: cluster.GroupName, Kind: "clusters", Name: name}
	return err
}

// copyLog is what the proxy says about connections that broke.
type copyLog struct{ logger klog.Logger }

// Write implements io.Writer.
func (l copyLog) Write(p []byte) (int, error) {
	l.logger.V(4).Info("Proxying to a member", "message", string(p))
	return len(p), nil
}
