// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

func TestRESTConfig(t *testing.T) {
	type result struct {
		Host, Token, Proxy string
		Insecure           bool
		CA                 string
		Err                bool
	}
	cluster := func(change func(*clusterv1alpha1.ClusterSpec)) *clusterv1alpha1.Cluster {
		c := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: clusterv1alpha1.ClusterSpec{APIEndpoint: "https://one:6443"}}
		change(&c.Spec)
		return c
	}
	same := func(*clusterv1alpha1.ClusterSpec) {}
	credentials := map[string][]byte{"token": []byte("secret\n"), "caBundle": []byte("pem")}
	cases := map[string]struct {
		reason  string
		cluster *clusterv1alpha1.Cluster
		data    map[string][]byte
		want    result
	}{
		"Plain": {
			reason:  "the line end of a token written with echo is not part of it",
			cluster: cluster(same), data: credentials,
			want: result{Host: "https://one:6443", Token: "secret", CA: "pem"},
		},
		"Insecure": {
			reason:  "client-go refuses a CA beside insecure",
			cluster: cluster(func(s *clusterv1alpha1.ClusterSpec) { s.InsecureSkipTLSVerification = true }), data: credentials,
			want: result{Host: "https://one:6443", Token: "secret", Insecure: true},
		},
		"Proxy": {
			reason:  "requests go through the member's proxy",
			cluster: cluster(func(s *clusterv1alpha1.ClusterSpec) { s.ProxyURL = "socks5://hop:1080" }), data: credentials,
			want: result{Host: "https://one:6443", Token: "secret", CA: "pem", Proxy: "socks5://hop:1080"},
		},
		"NoToken": {
			reason:  "a request without a token would come from nobody",
			cluster: cluster(same), data: map[string][]byte{"caBundle": []byte("pem")},
			want: result{Err: true},
		},
		"NoEndpoint": {
			reason:  "client-go would take localhost",
			cluster: cluster(func(s *clusterv1alpha1.ClusterSpec) { s.APIEndpoint = "" }), data: credentials,
			want: result{Err: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			config, err := RESTConfig(tc.cluster, &corev1.Secret{Data: tc.data})
			got := result{Err: err != nil}
			if err != nil && !errors.Is(err, ErrCredentials) {
				t.Errorf("%s: RESTConfig(): %v, want ErrCredentials", tc.reason, err)
			}
			if err == nil {
				got = result{Host: config.Host, Token: config.BearerToken, Insecure: config.Insecure, CA: string(config.CAData), Proxy: proxyOf(t, config)}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: RESTConfig(): -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func proxyOf(t *testing.T, config *rest.Config) string {
	t.Helper()
	if config.Proxy == nil {
		return ""
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host, nil)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := config.Proxy(request)
	if err != nil {
		t.Fatal(err)
	}
	return proxy.String()
}

func TestRoute(t *testing.T) {
	base := rest.Config{Host: "https://one:6443", BearerToken: "a", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("pem")}}
	cases := map[string]struct {
		reason string
		change func(*rest.Config)
		same   bool
	}{
		"Token":    {"a token is taken up in place", func(c *rest.Config) { c.BearerToken = "b" }, true},
		"Endpoint": {"another endpoint needs other connections", func(c *rest.Config) { c.Host = "https://two:6443" }, false},
		"CA":       {"another CA needs another TLS configuration", func(c *rest.Config) { c.CAData = []byte("other") }, false},
	}
	before, err := route(&base)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			changed := rest.CopyConfig(&base)
			tc.change(changed)
			after, err := route(changed)
			if err != nil || (after == before) != tc.same {
				t.Errorf("%s: route() stays the same: %t, want %t (%v)", tc.reason, after == before, tc.same, err)
			}
		})
	}
}

func TestPullAccess(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	token, ca := write("token", "first\n"), write("ca.crt", "pem")
	access := PullAccess(func() (*rest.Config, error) {
		return &rest.Config{Host: "https://one", BearerToken: "first", BearerTokenFile: token, TLSClientConfig: rest.TLSClientConfig{CAFile: ca}}, nil
	})
	for _, want := range []string{"first", "second"} {
		write("token", want+"\n")
		config, err := access(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{want, "", "pem", ""}, []string{config.BearerToken, config.BearerTokenFile, string(config.CAData), config.CAFile}); diff != "" {
			t.Errorf("a token renewed in its file is taken up: PullAccess(): -want +got:\n%s", diff)
		}
	}

	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if _, err := access(t.Context()); !errors.Is(err, ErrCredentials) {
		t.Errorf("a token that is gone is a matter of credentials: PullAccess(): %v, want ErrCredentials", err)
	}
	none := PullAccess(func() (*rest.Config, error) { return nil, rest.ErrNotInCluster })
	if _, err := none(t.Context()); !errors.Is(err, rest.ErrNotInCluster) {
		t.Errorf("the cause is kept: PullAccess(): %v, want %v", err, rest.ErrNotInCluster)
	}
}
