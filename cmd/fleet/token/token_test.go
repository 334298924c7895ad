// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
)

func TestCreate(t *testing.T) {
	const agents, auto = "system:bootstrappers:fleet:agents", "system:bootstrappers:fleet:auto-accept"
	tests := map[string]struct {
		reason  string
		options Options
		want    map[string]string
		expires bool
	}{
		"Plain": {
			reason: "an administrator accepts who asks", options: Options{TTL: time.Hour, Description: "edge"}, expires: true,
			want: map[string]string{"usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "auth-extra-groups": agents, "description": "edge"},
		},
		"AutoAccept": {
			reason: "nobody has to accept", options: Options{AutoAccept: true},
			want: map[string]string{"usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "auth-extra-groups": agents + "," + auto},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			kube := fake.NewClientset()
			made, err := Create(t.Context(), kube, tc.options)
			if err != nil {
				t.Fatal(err)
			}
			secret, err := kube.CoreV1().Secrets("kube-system").Get(t.Context(), "bootstrap-token-"+made.Token.ID, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for key, value := range secret.Data {
				got[key] = string(value)
			}
			if _, ok := got["expiration"]; ok != tc.expires {
				t.Errorf("%s: expires: want %t, got %t", tc.reason, tc.expires, ok)
			}
			if got["token-id"]+"."+got["token-secret"] != made.Token.String() || AutoAccepts(made) != tc.options.AutoAccept {
				t.Errorf("%s: what is returned is what is stored, got %v and %v", tc.reason, made, got)
			}
			for _, key := range []string{"expiration", "token-id", "token-secret"} {
				delete(got, key)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || secret.Type != bootstrapapi.SecretTypeBootstrapToken {
				t.Errorf("%s: Secret of type %s, -want +got:\n%s", tc.reason, secret.Type, diff)
			}
		})
	}
}

func stored(id, groups string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-" + id}, Type: bootstrapapi.SecretTypeBootstrapToken,
		Data: map[string][]byte{
			"token-id": []byte(id), "token-secret": []byte("0123456789abcdef"), "auth-extra-groups": []byte(groups), "usage-bootstrap-authentication": []byte("true"),
		},
	}
}

func TestListAndDelete(t *testing.T) {
	kube := fake.NewClientset(stored("bbbbbb", "system:bootstrappers:fleet:agents"), stored("aaaaaa", "system:bootstrappers:fleet:agents"),
		stored("cccccc", "system:bootstrappers:kubeadm:default-node-token"))
	ids := func() []string {
		tokens, err := List(t.Context(), kube)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, token := range tokens {
			ids = append(ids, token.Token.ID)
		}
		return ids
	}
	if diff := cmp.Diff([]string{"aaaaaa", "bbbbbb"}, ids()); diff != "" {
		t.Errorf("tokens for agents, sorted: -want +got:\n%s", diff)
	}
	for name, tc := range map[string]struct {
		reason, given, want string
	}{
		"ID":      {"the id is enough", "aaaaaa", ""},
		"Full":    {"so is the token in full", "bbbbbb.0123456789abcdef", ""},
		"Node":    {"tokens for other things are not touched", "cccccc", "not for agents"},
		"Missing": {"what is not there is said", "dddddd", "no token"},
		"Shape":   {"a mistake is said before anybody is asked", "nothing at all", "expected six characters"},
	} {
		if _, err := Delete(t.Context(), kube, tc.given); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %s: want %q, got %v", name, tc.reason, tc.want, err)
		}
	}
	if left := ids(); len(left) > 0 {
		t.Errorf("deleted tokens are gone, got %v", left)
	}
}

func TestIsLoopback(t *testing.T) {
	for server, want := range map[string]bool{
		"https://127.0.0.1:6443": true, "https://[::1]:6443": true, "https://localhost": true, "": true, "http://fleet": true, "::": true,
		"https://192.0.2.1:6443": false, "https://fleet.example.com": false,
	} {
		if got := isLoopback(server); got != want {
			t.Errorf("%q: want %t, got %t", server, want, got)
		}
	}
}

func TestDiscover(t *testing.T) {
	if _, err := Discover(t.Context(), fake.NewClientset(), "", ""); err == nil || !strings.Contains(err.Error(), "--tls-cert-file") {
		t.Errorf("who cannot be discovered says why: got %v", err)
	}
	info := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"}, Data: map[string]string{"kubeconfig": "{}"}}
	if _, err := Discover(t.Context(), fake.NewClientset(info), "", ""); err == nil || !strings.Contains(err.Error(), "holds no cluster") {
		t.Errorf("what cannot be read is said: got %v", err)
	}
}

func TestCommand(t *testing.T) {
	got := Command("kubectl fleet", "NAME", "abcdef.0123456789abcdef", Endpoint{Server: "https://fleet:6443", Pins: []string{"sha256:1", "sha256:2"}})
	want := "kubectl fleet register NAME --server https://fleet:6443 --token abcdef.0123456789abcdef --ca-cert-hash sha256:1 --ca-cert-hash sha256:2"
	if got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}
