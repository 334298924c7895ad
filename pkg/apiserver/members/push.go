// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/member"
	registry "fleet.dev/fleet/pkg/registry/cluster/cluster"
)

const (
	// secretAge is how old what is known of a Secret may be.
	secretAge = 10 * time.Second
	// idleMember is how long a member is remembered that nobody asks.
	idleMember = time.Hour
)

// pushed is how a member in Push mode is reached. Only the token, and when it was
// last looked at, change.
type pushed struct {
	version version
	secret  string // namespace/name
	config  string // what the transports were made of, but for the token
	url     *url.URL
	plain   http.RoundTripper // may speak HTTP/2
	upgrade http.RoundTripper // speaks HTTP/1.1

	token   atomic.Pointer[string]
	checked atomic.Int64 // Unix nanoseconds
}

func (p *pushed) close() { closeIdle(p.plain, p.upgrade) }

// push returns the way to a member in Push mode.
func (m *Members) push(ctx context.Context, c *cluster.Cluster, upgrade bool) (registry.Way, error) {
	m.mu.Lock()
	known := m.pushed[c.Name]
	m.mu.Unlock()
	if known == nil || known.version != versionOf(c) || m.clock.Now().UnixNano()-known.checked.Load() > int64(secretAge) {
		var err error
		if known, err = m.refresh(ctx, c); err != nil {
			return registry.Way{}, err
		}
	}
	carrier := known.plain
	if upgrade {
		carrier = known.upgrade
	}
	return registry.Way{URL: known.url, Transport: &signing{
		base: carrier, known: known,
		refresh: func(ctx context.Context) (*pushed, error) { return m.refresh(ctx, c) },
	}}, nil
}

// refresh reads the Secret and keeps what follows from it.
func (m *Members) refresh(ctx context.Context, c *cluster.Cluster) (*pushed, error) {
	ref := c.Spec.ImpersonatorSecretRef
	if ref == nil {
		return nil, fmt.Errorf("it has no spec.impersonatorSecretRef; join it again with \"fleet join %s\"", c.Name)
	}
	secret, err := m.secrets.Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("secret %s/%s in spec.impersonatorSecretRef is missing; join it again with \"fleet join %s\"", ref.Namespace, ref.Name, c.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("get Secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	fresh, err := newPushed(c, secret)
	if err != nil {
		return nil, err
	}
	fresh.checked.Store(m.clock.Now().UnixNano())
	return m.keep(c.Name, fresh), nil
}

// keep makes fresh what is known of a member. Where it only brings a token, the
// connections that there are stay.
func (m *Members) keep(name string, fresh *pushed) *pushed {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.pushed[name]
	if known != nil && known.version == fresh.version && known.config == fresh.config {
		known.token.Store(fresh.token.Load())
		known.checked.Store(fresh.checked.Load())
		return known
	}
	m.pushed[name] = fresh
	if known != nil {
		go known.close() // closing may write to connections
	}
	m.prune(fresh.checked.Load())
	return fresh
}

// prune drops members that nobody has asked for a long time, those that have left
// among them. The lock is held.
func (m *Members) prune(now int64) {
	for name, p := range m.pushed {
		if now-p.checked.Load() > int64(idleMember) {
			delete(m.pushed, name)
			go p.close()
		}
	}
}

func newPushed(c *cluster.Cluster, secret *corev1.Secret) (*pushed, error) {
	versioned := &clusterv1alpha1.Cluster{}
	if err := clusterv1alpha1.Convert_cluster_Cluster_To_v1alpha1_Cluster(c, versioned, nil); err != nil {
		return nil, fmt.Errorf("convert Cluster: %w", err)
	}
	config, err := member.RESTConfig(versioned, secret)
	if err != nil {
		return nil, err
	}
	p := &pushed{
		version: versionOf(c),
		secret:  secret.Namespace + "/" + secret.Name,
		config:  string(config.CAData),
	}
	token := config.BearerToken
	p.token.Store(&token)
	config.BearerToken = ""          // put on each request
	config.DisableCompression = true // what the member sent is passed on as it is
	if config.Proxy == nil {
		config.Proxy = http.ProxyFromEnvironment // the default; saying so keeps the transport out of client-go's cache
	}
	if p.url, _, err = rest.DefaultServerUrlFor(config); err != nil {
		return nil, fmt.Errorf("parse spec.apiEndpoint %q: %w", c.Spec.APIEndpoint, err)
	}
	if p.plain, err = rest.TransportFor(config); err != nil {
		return nil, fmt.Errorf("make transport: %w", err)
	}
	config.NextProtos = []string{"http/1.1"}
	if p.upgrade, err = rest.TransportFor(config); err != nil {
		return nil, fmt.Errorf("make transport: %w", err)
	}
	return p, nil
}

// signing puts the token of the moment on requests. When the member refuses it,
// the Secret is read again.
type signing struct {
	base    http.RoundTripper
	known   *pushed
	refresh func(context.Context) (*pushed, error)
}

// RoundTrip implements http.RoundTripper.
func (s *signing) RoundTrip(req *http.Request) (*http.Response, error) {
	token := *s.known.token.Load()
	response, err := s.send(req, token)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	fresh, err := s.refresh(req.Context())
	if err != nil {
		return nil, errors.Join(err, response.Body.Close())
	}
	switch changed := *fresh.token.Load(); {
	case changed == token && !registry.RefusesFleet(response):
		return response, nil
	case changed == token:
		return nil, errors.Join(fmt.Errorf("it refuses the token in Secret %s", s.known.secret), response.Body.Close())
	case req.Body != nil && req.Body != http.NoBody:
		return nil, errors.Join(errors.New("the fleet's credentials for it have just changed; try again"), response.Body.Close())
	default:
		_ = response.Body.Close() // a refusal
		return s.send(req, changed)
	}
}

func (s *signing) send(req *http.Request, token string) (*http.Response, error) {
	req = utilnet.CloneRequest(req)
	req.Header.Set("Authorization", "Bearer "+token)
	return s.base.RoundTrip(req)
}

// WrappedRoundTripper lets client-go see through to the transport below.
func (s *signing) WrappedRoundTripper() http.RoundTripper { return s.base }
