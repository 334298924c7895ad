// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestBindingName(t *testing.T) {
	long := strings.Repeat("a", 60)
	cases := map[string]struct {
		reason string
		kind   string
		name   string
		want   string
	}{
		"Plain":      {reason: "the usual name is readable", kind: "Deployment", name: "web", want: "web-deployment"},
		"Dots":       {reason: "a dot is fine in an object name", kind: "CustomResourceDefinition", name: "dbs.example.com", want: "dbs.example.com-customresourcedefinition"},
		"Long":       {reason: "beyond 63 characters the name is cut and hashed", kind: "Deployment", name: long, want: strings.Repeat("a", 54) + "-b1d57ecf"},
		"Characters": {reason: "a colon, as in RBAC names, is no object name", kind: "ClusterRole", name: "system:node", want: "system-node-clusterrole-a7ab119b"},
		"Case":       {reason: "Admin and admin are different roles", kind: "ClusterRole", name: "Admin", want: "admin-clusterrole-4027d1e9"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := BindingName(tc.kind, tc.name)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nBindingName(%q, %q): -want, +got:\n%s", tc.reason, tc.kind, tc.name, diff)
			}
		})
	}
}

func TestBindingNameForGroupKind(t *testing.T) {
	core := BindingNameForGroupKind(schema.GroupKind{Kind: "Service"}, "web")
	other := BindingNameForGroupKind(schema.GroupKind{Group: "serving.knative.dev", Kind: "Service"}, "web")
	if core != BindingName("Service", "web") {
		t.Errorf("a native kind has the plain name, got %q", core)
	}
	if core == other {
		t.Errorf("kinds of the same name in different groups share the binding %q", core)
	}
}

func TestWorkName(t *testing.T) {
	if a, b := WorkName("a", "b-c"), WorkName("a-b", "c"); a == b {
		t.Errorf("two bindings share the work name %q", a)
	}
	name := WorkName("default", "web-deployment")
	if diff := cmp.Diff("web-deployment-677b5bf24a304019", name); diff != "" {
		t.Errorf("the name is an interface between components and must not change: -want, +got:\n%s", diff)
	}
}

func FuzzBindingName(f *testing.F) {
	f.Add("Deployment", "web")
	f.Add("ClusterRole", "system:Node-")
	f.Add("K", strings.Repeat(".", 300))
	f.Fuzz(func(t *testing.T, kind, name string) {
		got := BindingName(kind, name)
		if errs := validation.IsDNS1123Subdomain(got); len(errs) > 0 || len(got) > maxBindingNameLength {
			t.Errorf("BindingName(%q, %q) = %q: %v", kind, name, got, errs)
		}
	})
}
