// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestHostNames has a Node's label say by which host name Pods choose it.
func TestHostNames(t *testing.T) {
	long := strings.Repeat("n", 62)
	cases := map[string]struct {
		reason       string
		labels, want map[string]string
	}{
		"Label":   {reason: "It ends in the member's name, as the Node's name does.", labels: map[string]string{corev1.LabelHostname: "host"}, want: map[string]string{corev1.LabelHostname: "host.a"}},
		"NoLabel": {reason: "What the member does not say is not made up.", labels: map[string]string{"disk": "ssd"}, want: map[string]string{"disk": "ssd"}},
		"TooLong": {reason: "No selector could say more than a label holds.", labels: map[string]string{corev1.LabelHostname: long}, want: map[string]string{corev1.LabelHostname: long}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: tc.labels}}
			if !projectNode("a", node) {
				t.Fatal("the node is not shown")
			}
			if diff := cmp.Diff(tc.want, node.Labels); diff != "" {
				t.Errorf("\n%s\nlabels: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestOwnNode(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*corev1.Node)
		want   string
	}{
		"Label":    {reason: "Labels are set in the member.", change: func(n *corev1.Node) { n.Labels["disk"] = "ssd" }},
		"HostName": {reason: "The member calls it otherwise than the fleet does.", change: func(n *corev1.Node) { n.Labels[corev1.LabelHostname] = "other" }, want: "the host name of the Node is the member's"},
		"Address": {reason: "The fleet's address is among them.", want: "the addresses of the Node are the member's", change: func(n *corev1.Node) {
			n.Status.Addresses = nil
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{corev1.LabelHostname: "n1"}}}
			projectNode("a", before)
			after := before.DeepCopy()
			tc.change(after)
			got := ""
			if err := ownNode(before, after); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("\n%s\nownNode(...): want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}
