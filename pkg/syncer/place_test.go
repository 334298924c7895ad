// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"fleet.dev/fleet/pkg/apis/cluster/place"
)

func TestPlaceOf(t *testing.T) {
	at := func(providerID, region, zone string, changes ...func(*corev1.Node)) *node {
		return aNode(t, providerID+region+zone, func(n *corev1.Node) {
			n.Spec.ProviderID = providerID
			n.Labels = map[string]string{}
			if region != "" {
				n.Labels[corev1.LabelTopologyRegion] = region
			}
			if zone != "" {
				n.Labels[corev1.LabelTopologyZone] = zone
			}
			for _, change := range changes {
				change(n)
			}
		})
	}
	lost := func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }
	for name, tc := range map[string]struct {
		reason string
		nodes  []*node
		want   place.Place
	}{
		"None": {reason: "without nodes nothing is known"},
		"Bare": {reason: "nodes without a cloud say nothing", nodes: []*node{at("", "", "")}},
		"Cloud": {
			reason: "the scheme of the providerID is the provider, the labels are region and zones",
			nodes:  []*node{at("aws:///eu-west-1b/i-2", "eu-west-1", "eu-west-1b"), at("aws:///eu-west-1a/i-1", "eu-west-1", "eu-west-1a")},
			want:   place.Place{Provider: "aws", Region: "eu-west-1", Zones: []string{"eu-west-1a", "eu-west-1b"}},
		},
		"Most": {
			reason: "what most nodes say counts, and those that say nothing do not",
			nodes:  []*node{at("kind://a", "eu", "eu-1"), at("aws:///b", "us", "us-1"), at("aws:///c", "us", "us-2"), at("", "", ""), at("", "", "x"), at("", "", "y")},
			want:   place.Place{Provider: "aws", Region: "us", Zones: []string{"eu-1", "us-1", "us-2", "x", "y"}},
		},
		"Tie": {
			reason: "among equals the first by name is taken, so that all syncers say the same",
			nodes:  []*node{at("gce://p/z/i", "us", "us-1"), at("aws:///i", "eu", "eu-1")},
			want:   place.Place{Provider: "aws", Region: "eu", Zones: []string{"eu-1", "us-1"}},
		},
		"Lost": {
			reason: "a node that is down is where it was",
			nodes:  []*node{at("aws:///a", "eu", "eu-1", lost)},
			want:   place.Place{Provider: "aws", Region: "eu", Zones: []string{"eu-1"}},
		},
		"Malformed": {
			reason: "an id that is no URL, or a scheme the API would refuse, names no provider",
			nodes:  []*node{at("i-0123", "", ""), at(strings.Repeat("x", 129)+"://i", "", "")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				if diff := cmp.Diff(tc.want, placeOf(tc.nodes)); diff != "" {
					t.Errorf("%s: placeOf(): -want +got:\n%s", tc.reason, diff)
				}
				slices.Reverse(tc.nodes) // the order of nodes is an accident
			}
		})
	}
}
