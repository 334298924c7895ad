// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// ErrCredentials says that what the fleet holds for a member does not let it
// connect: it is missing, malformed or refused.
var ErrCredentials = errors.New("credentials are not usable")

// Access returns how to reach a member at this moment: the endpoint, how to
// trust it, and a bearer token. It is asked again when the member refuses the
// token or does not answer, and may then return something else. Push and pull
// differ in nothing but their Access.
type Access func(ctx context.Context) (*rest.Config, error)

// PushAccess connects to the endpoint in the Cluster with the credentials in
// its Secret. The Cluster is read through get, the Secret from the fleet's API
// server.
func PushAccess(get func() (*clusterv1alpha1.Cluster, error), secrets corev1client.SecretsGetter) Access {
	return func(ctx context.Context) (*rest.Config, error) {
		cluster, err := get()
		if err != nil {
			return nil, err
		}
		ref := cluster.Spec.SecretRef
		if ref == nil {
			return nil, fmt.Errorf("%w: Cluster %q has no spec.secretRef", ErrCredentials, cluster.Name)
		}
		secret, err := secrets.Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil, fmt.Errorf("%w: get Secret %s/%s: %w", ErrCredentials, ref.Namespace, ref.Name, err)
		case err != nil:
			return nil, fmt.Errorf("get Secret %s/%s: %w", ref.Namespace, ref.Name, err)
		}
		return RESTConfig(cluster, secret)
	}
}

// PullAccess connects to the cluster this process runs in, or beside: load
// returns its configuration, as rest.InClusterConfig does. It is called each
// time, so that a token that was renewed in its file is taken up.
func PullAccess(load func() (*rest.Config, error)) Access {
	return func(context.Context) (*rest.Config, error) {
		config, err := load()
		if err != nil {
			return nil, fmt.Errorf("%w: load the configuration of this cluster: %w", ErrCredentials, err)
		}
		config = rest.CopyConfig(config)
		if file := config.BearerTokenFile; file != "" {
			token, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("%w: read the token for this cluster: %w", ErrCredentials, err)
			}
			config.BearerToken, config.BearerTokenFile = strings.TrimSpace(string(token)), ""
		}
		if file := config.CAFile; file != "" && len(config.CAData) == 0 {
			if config.CAData, err = os.ReadFile(file); err != nil {
				return nil, fmt.Errorf("%w: read the CA of this cluster: %w", ErrCredentials, err)
			}
			config.CAFile = ""
		}
		return config, nil
	}
}

// RESTConfig returns the configuration that reaches the member described by
// cluster with the credentials in secret (keys token and caBundle).
func RESTConfig(cluster *clusterv1alpha1.Cluster, secret *corev1.Secret) (*rest.Config, error) {
	token := strings.TrimSpace(string(secret.Data[wellknown.SecretKeyToken]))
	if token == "" {
		return nil, fmt.Errorf("%w: Secret %s/%s has no key %q", ErrCredentials, secret.Namespace, secret.Name, wellknown.SecretKeyToken)
	}
	if cluster.Spec.APIEndpoint == "" {
		return nil, fmt.Errorf("%w: Cluster %q has no spec.apiEndpoint", ErrCredentials, cluster.Name)
	}
	config := &rest.Config{
		Host:        cluster.Spec.APIEndpoint,
		BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{
			Insecure: cluster.Spec.InsecureSkipTLSVerification,
		},
	}
	if !config.Insecure {
		config.CAData = secret.Data[wellknown.SecretKeyCABundle]
	}
	if err := throughProxy(config, cluster); err != nil {
		return nil, err
	}
	return config, nil
}

// throughProxy sends connections through the proxy of the Cluster, if it names
// one.
func throughProxy(config *rest.Config, cluster *clusterv1alpha1.Cluster) error {
	if cluster.Spec.ProxyURL == "" {
		return nil
	}
	proxy, err := url.Parse(cluster.Spec.ProxyURL)
	if err != nil {
		return fmt.Errorf("%w: parse spec.proxyURL of Cluster %q: %w", ErrCredentials, cluster.Name, err)
	}
	config.Proxy = http.ProxyURL(proxy)
	if len(cluster.Spec.ProxyHeader) == 0 {
		return nil
	}
	header := http.Header{}
	for name, values := range cluster.Spec.ProxyHeader {
		for value := range strings.SplitSeq(values, ",") {
			header.Add(name, strings.TrimSpace(value))
		}
	}
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		// A transport with a proxy of its own is never shared by client-go.
		if transport, ok := rt.(*http.Transport); ok {
			transport.ProxyConnectHeader = header
		}
		return rt
	})
	return nil
}

// route is the part of a configuration that cannot change under a connection,
// in comparable form. The token is not part of it.
func route(config *rest.Config) (string, error) {
	host, err := url.Parse(config.Host)
	if err != nil {
		return "", fmt.Errorf("%w: parse endpoint %q: %w", ErrCredentials, config.Host, err)
	}
	var proxy *url.URL
	if config.Proxy != nil {
		if proxy, err = config.Proxy(&http.Request{URL: host}); err != nil {
			return "", fmt.Errorf("%w: choose proxy for %q: %w", ErrCredentials, config.Host, err)
		}
	}
	return fmt.Sprintf("%s %t %x %s", host, config.Insecure, config.CAData, proxy), nil
}
