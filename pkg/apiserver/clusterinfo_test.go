// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestClusterInfo(t *testing.T) {
	info := clusterInfo{authority: []byte("authority"), server: "https://fleet:6443", sole: true}
	render := func(c clusterInfo) string {
		content, err := c.kubeconfig()
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	other := func(change func(*clusterInfo)) clusterInfo {
		c := info
		change(&c)
		return c
	}
	tests := map[string]struct {
		reason string
		have   map[string]string // nil: no ConfigMap
		given  clusterInfo
		want   map[string]string
		writes int
	}{
		"First": {
			reason: "the first start makes it",
			given:  info, want: map[string]string{"kubeconfig": render(info)}, writes: 1,
		},
		"Same": {
			reason: "a restart writes nothing",
			have:   map[string]string{"kubeconfig": render(info), "jws-kubeconfig-abcdef": "signature"},
			given:  info, want: map[string]string{"kubeconfig": render(info), "jws-kubeconfig-abcdef": "signature"},
		},
		"Authority": {
			reason: "who joins must be able to verify the server; the signatures are the signer's to replace",
			have:   map[string]string{"kubeconfig": render(other(func(c *clusterInfo) { c.authority = []byte("old") })), "jws-kubeconfig-abcdef": "signature"},
			given:  info, want: map[string]string{"kubeconfig": render(info), "jws-kubeconfig-abcdef": "signature"}, writes: 1,
		},
		"Moved": {
			reason: "a server that is alone knows its address best",
			have:   map[string]string{"kubeconfig": render(other(func(c *clusterInfo) { c.server = "https://old:6443" }))},
			given:  info, want: map[string]string{"kubeconfig": render(info)}, writes: 1,
		},
		"Peers": {
			reason: "two servers with addresses of their own must not write in turn",
			have:   map[string]string{"kubeconfig": render(other(func(c *clusterInfo) { c.server = "https://peer:6443" }))},
			given:  other(func(c *clusterInfo) { c.sole = false }),
			want:   map[string]string{"kubeconfig": render(other(func(c *clusterInfo) { c.server = "https://peer:6443" }))},
		},
		"Broken": {
			reason: "what nobody can read is replaced",
			have:   map[string]string{"kubeconfig": "{"},
			given:  info, want: map[string]string{"kubeconfig": render(info)}, writes: 1,
		},
		"Emptied": {
			reason: "what nobody can read is replaced",
			have:   map[string]string{},
			given:  info, want: map[string]string{"kubeconfig": render(info)}, writes: 1,
		},
		"Unknown": {
			reason: "without an authority there is nothing to pin",
			given:  clusterInfo{server: "https://fleet:6443"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			kube := fake.NewClientset()
			if tc.have != nil {
				kube = fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "cluster-info"}, Data: tc.have})
			}
			if err := tc.given.try(t.Context(), kube); err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			writes := 0
			for _, action := range kube.Actions() {
				if action.GetVerb() != "get" {
					writes++
				}
			}
			var got map[string]string
			if found, err := kube.CoreV1().ConfigMaps("kube-public").Get(t.Context(), "cluster-info", metav1.GetOptions{}); err == nil {
				got = found.Data
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if writes != tc.writes {
				t.Errorf("%s: want %d writes, got %d", tc.reason, tc.writes, writes)
			}
		})
	}
}
