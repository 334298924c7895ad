// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dialer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/tools/cache"
)

// errNotProxied refuses what upstream would dial in the network of Nodes.
var errNotProxied = errors.New("of members, Pods and Services have a proxy here; reach others through the member's own API, clusters/NAME/proxy")

// PodTransport carries what the subresource proxy of Pods asks for. Upstream asks
// for the Pod's IP, which Pods of different members may share, so the Pod is taken
// from the request, and no connection is used twice. As upstream's, it verifies no
// certificate.
func (d *Dialer) PodTransport(base *http.Transport) *http.Transport {
	transport := base.Clone()
	transport.DialContext = d.dialRequestedPod
	transport.DisableKeepAlives = true
	return transport
}

// dialRequestedPod connects to the Pod that a request is about.
func (d *Dialer) dialRequestedPod(ctx context.Context, _, address string) (net.Conn, error) {
	info, ok := request.RequestInfoFrom(ctx)
	if !ok || info.APIGroup != "" || info.Resource != "pods" {
		return nil, errNotProxied
	}
	_, name, _, ok := utilnet.SplitSchemeNamePort(info.Name)
	if !ok {
		return nil, fmt.Errorf("dial pod %q: it is no valid name", info.Name)
	}
	_, number, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial pod %q: %w", name, err)
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("dial pod %q: %w", name, err)
	}
	if d.pods == nil {
		return nil, fmt.Errorf("dial pod %q: Pods of members are not shown (--projections)", name)
	}
	member, inMember, ok := d.pods(info.Namespace, name)
	if !ok {
		return nil, fmt.Errorf("dial pod %q: it is in no member", name)
	}
	//nolint:gosec // the port has 16 bits
	conn, err := d.dialPod(ctx, member, target{namespace: info.Namespace, pod: inMember, port: int32(port)})
	if err != nil {
		return nil, fmt.Errorf("dial pod %q: member %q: %w", name, member, err)
	}
	return conn, nil
}

// Services locates what the subresource proxy of Services asks for. It implements
// upstream's rest.Redirector.
type Services struct {
	dialer    *Dialer
	transport *http.Transport
}

// NewServices returns where Services are; base is as for PodTransport.
func (d *Dialer) NewServices(base *http.Transport) *Services {
	s := &Services{dialer: d, transport: base.Clone()}
	s.transport.DialContext = s.dial
	s.transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // as upstream: there is nothing to verify it by
	return s
}

// ResourceLocation implements rest.Redirector. A Service is named as in Kubernetes:
// NAME, NAME:PORT or SCHEME:NAME:PORT, the port by number or name.
func (s *Services) ResourceLocation(ctx context.Context, id string) (*url.URL, http.RoundTripper, error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
	if !ok {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", id))
	}
	service, err := s.get(request.NamespaceValue(ctx), name)
	if err != nil {
		return nil, nil, err
	}
	for i := range service.Spec.Ports {
		if candidate := &service.Spec.Ports[i]; candidate.Name == port || strconv.Itoa(int(candidate.Port)) == port {
			host := fmt.Sprintf("%s.%s:%d", service.Name, service.Namespace, candidate.Port)
			return &url.URL{Scheme: scheme, Host: host}, s.transport, nil
		}
	}
	return nil, nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %s found for service %q", port, name))
}

func (s *Services) get(namespace, name string) (*corev1.Service, error) {
	key := cache.ObjectName{Namespace: namespace, Name: name}
	object, ok, err := s.dialer.services.GetByKey(key.String())
	if err == nil && !ok {
		err = apierrors.NewNotFound(corev1.Resource("services"), name)
	}
	if err != nil {
		return nil, err
	}
	return object.(*corev1.Service), nil
}

// dial connects to an address that ResourceLocation made.
func (s *Services) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	name, namespace, _ := strings.Cut(host, ".") // neither has a dot
	service, err := s.get(namespace, name)
	if err != nil {
		return nil, fmt.Errorf("dial service %q: %w", types.NamespacedName{Namespace: namespace, Name: name}, err)
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", address, err)
	}
	return s.dialer.dialService(ctx, service, int32(port)) //nolint:gosec // 16 bits
}
