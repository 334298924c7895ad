// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
)

func TestParseImage(t *testing.T) {
	cases := map[string]struct {
		reason    string
		reference string
		want      image
	}{
		"Repository": {
			reason:    "A bare name is a repository.",
			reference: "nginx",
			want:      image{repository: "nginx"},
		},
		"Tag": {
			reason:    "A tag follows the last colon.",
			reference: "library/nginx:1.27",
			want:      image{repository: "library/nginx", separator: ":", version: "1.27"},
		},
		"RegistryWithPort": {
			reason:    "The colon of a port does not begin a tag.",
			reference: "registry.example.com:5000/team/app",
			want:      image{registry: "registry.example.com:5000", repository: "team/app"},
		},
		"LocalhostWithTag": {
			reason:    "localhost is a registry though it has no dot.",
			reference: "localhost/app:v1",
			want:      image{registry: "localhost", repository: "app", separator: ":", version: "v1"},
		},
		"NotARegistry": {
			reason:    "A first part without dot or colon belongs to the repository.",
			reference: "team/app@sha256:abc",
			want:      image{repository: "team/app", separator: "@", version: "sha256:abc"},
		},
		"TagAndDigest": {
			reason:    "The digest decides; the tag beside it stays where it is.",
			reference: "r.io/app:v1@sha256:abc",
			want:      image{registry: "r.io", repository: "app:v1", separator: "@", version: "sha256:abc"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := parseImage(tc.reference)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(image{})); diff != "" {
				t.Errorf("%s\nparseImage(%q) (-want +got):\n%s", tc.reason, tc.reference, diff)
			}
			if got.String() != tc.reference {
				t.Errorf("%s\nparsed and written again: %q, want %q", tc.reason, got.String(), tc.reference)
			}
		})
	}
}

func TestOverrideImage(t *testing.T) {
	cases := map[string]struct {
		reason    string
		reference string
		overrider policyv1alpha1.ImageOverrider
		want      string
		wantErr   bool
	}{
		"AddRegistry": {
			reason:    "An image without registry gets one.",
			reference: "nginx:1",
			overrider: policyv1alpha1.ImageOverrider{Component: policyv1alpha1.Registry, Operator: policyv1alpha1.OverriderOpAdd, Value: "r.io"},
			want:      "r.io/nginx:1",
		},
		"RemoveTag": {
			reason:    "Removing the tag removes its colon.",
			reference: "r.io:5000/nginx:1",
			overrider: policyv1alpha1.ImageOverrider{Component: policyv1alpha1.Tag, Operator: policyv1alpha1.OverriderOpRemove},
			want:      "r.io:5000/nginx",
		},
		"TagForDigest": {
			reason:    "A tag put where a digest was is written with a colon.",
			reference: "nginx@sha256:abc",
			overrider: policyv1alpha1.ImageOverrider{Component: policyv1alpha1.Tag, Operator: policyv1alpha1.OverriderOpReplace, Value: "2"},
			want:      "nginx:2",
		},
		"RemoveRepository": {
			reason:    "Nothing would be left to pull.",
			reference: "r.io/nginx:1",
			overrider: policyv1alpha1.ImageOverrider{Component: policyv1alpha1.Repository, Operator: policyv1alpha1.OverriderOpRemove},
			wantErr:   true,
		},
		"UnknownOperator": {
			reason:    "Operators are not guessed.",
			reference: "nginx",
			overrider: policyv1alpha1.ImageOverrider{Component: policyv1alpha1.Tag, Operator: "append"},
			wantErr:   true,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := overrideImage(tc.reference, &tc.overrider)
			if (err != nil) != tc.wantErr {
				t.Fatalf("%s\noverrideImage: error %v, want error %t", tc.reason, err, tc.wantErr)
			}
			if got != tc.want {
				t.Errorf("%s\noverrideImage(%q) = %q, want %q", tc.reason, tc.reference, got, tc.want)
			}
		})
	}
}
