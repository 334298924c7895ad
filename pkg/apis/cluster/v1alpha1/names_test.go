// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "testing"

func TestClusterOfNamespace(t *testing.T) {
	cases := map[string]struct {
		reason    string
		namespace string
		want      string
		ok        bool
	}{
		"Member": {reason: "it is the reverse of MemberNamespace", namespace: MemberNamespace("east"), want: "east", ok: true},
		"Other":  {reason: "a user's namespace is no member's", namespace: "default"},
		"Prefix": {reason: "the bare prefix names no member", namespace: MemberNamespacePrefix},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := ClusterOfNamespace(tc.namespace)
			if got != tc.want || ok != tc.ok {
				t.Errorf("\n%s\nClusterOfNamespace(%q) = %q, %v, want %q, %v", tc.reason, tc.namespace, got, ok, tc.want, tc.ok)
			}
		})
	}
}
