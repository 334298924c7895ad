// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// Way is how requests get to the API server of a member.
type Way struct {
	// URL is where it is.
	URL *url.URL
	// Transport carries requests there, in the name of the fleet's API server.
	Transport http.RoundTripper
}

// Members reaches members.
type Members interface {
	// Way returns the way to a member; upgrade asks for one whose connections can be
	// upgraded, in HTTP/1.1. It is good for one request.
	Way(ctx context.Context, member string, upgrade bool) (Way, error)
	// Clusters returns the members whose objects are to be shown, sorted by name, and
	// a channel that is closed when the answer changed.
	Clusters() ([]Cluster, <-chan struct{})
}

// Cluster is a member.
type Cluster struct {
	Name string
	// Unready says why what was last seen of the member may be out of date, and is
	// empty when it is not known to be.
	Unready string
	// Since is since when it is Unready.
	Since time.Time
}

// fieldManager is who changes members' objects on behalf of the fleet's users.
const fieldManager = "fleet-apiserver"

// client makes requests about one kind to one member.
type client struct {
	members Members
	kind    *Kind
	member  string
	fleetID func() string // to list and watch
}

// rest returns a client for one request.
func (c *client) rest(ctx context.Context) (*rest.RESTClient, error) {
	way, err := c.members.Way(ctx, c.member, false)
	if err != nil {
		return nil, err
	}
	config := &rest.Config{
		Host: way.URL.String(), Transport: way.Transport, QPS: -1,
		ContentConfig: rest.ContentConfig{
			GroupVersion:         new(c.kind.Resource.GroupVersion()),
			NegotiatedSerializer: scheme.Codecs.WithoutConversion(),
			AcceptContentTypes:   runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON,
			ContentType:          runtime.ContentTypeJSON,
		},
		APIPath: "/apis",
	}
	if c.kind.Resource.Group == "" {
		config.APIPath = "/api"
	}
	made, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("make client of member %q: %w", c.member, err)
	}
	return made, nil
}

// request begins a request about an object, or about all when name is empty.
func (c *client) request(ctx context.Context, verb, namespace, name, subresource string) (*rest.Request, error) {
	made, err := c.rest(ctx)
	if err != nil {
		return nil, err
	}
	request := made.Verb(verb).Resource(c.kind.Resource.Resource).NamespaceIfScoped(namespace, c.kind.Namespaced && namespace != "")
	if name != "" {
		request = request.Name(name)
	}
	if subresource != "" {
		request = request.SubResource(subresource)
	}
	return request, nil
}

// do sends a request and decodes the answer, which is returned as it came when it
// is a Status.
func (c *client) do(ctx context.Context, request *rest.Request) (runtime.Object, error) {
	answer, err := request.Do(ctx).Get()
	if err != nil {
		return nil, c.explain(err)
	}
	return answer, nil
}

// explain adds the name of the member to an error of it.
func (c *client) explain(err error) error {
	status := &apierrors.StatusError{}
	if !errors.As(err, &status) {
		return apierrors.NewServiceUnavailable(fmt.Sprintf("member %q cannot be reached: %v", c.member, err))
	}
	explained := *status
	explained.ErrStatus.Message = fmt.Sprintf("member %q: %s", c.member, status.ErrStatus.Message)
	return &explained
}

// list and watch everything of the kind that is shown.
func (c *client) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	options.LabelSelector = c.kind.selector(c.fleetID())
	request, err := c.request(ctx, http.MethodGet, "", "", "")
	if err != nil {
		return nil, err
	}
	list := c.kind.NewList()
	err = request.VersionedParams(&options, scheme.ParameterCodec).Do(ctx).Into(list)
	return list, err
}
