// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestManagerOf(t *testing.T) {
	cases := map[string]struct {
		reason string
		kind   schema.GroupKind
		want   string
	}{
		"Deployment": {"tools leave alone what the controllers of a cluster write", schema.GroupKind{Group: "apps", Kind: "Deployment"}, "kube-controller-manager"},
		"Job":        {"Jobs have a controller too", schema.GroupKind{Group: "batch", Kind: "Job"}, "kube-controller-manager"},
		"Claim":      {"so have claims", schema.GroupKind{Kind: "PersistentVolumeClaim"}, "kube-controller-manager"},
		"Pod":        {"nodes report on Pods", schema.GroupKind{Kind: "Pod"}, "kubelet"},
		"Service":    {"whose controller it is differs between clusters", schema.GroupKind{Kind: "Service"}, "fleet-feedback"},
		"Custom":     {"operators have names of their own", schema.GroupKind{Group: "example.org", Kind: "Widget"}, "fleet-feedback"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := managerOf(tc.kind); got != tc.want {
				t.Errorf("\n%s\nmanagerOf(%s): want %q, got %q", tc.reason, tc.kind, tc.want, got)
			}
		})
	}
}
