// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestRanked(t *testing.T) {
	arrivals := []struct {
		name string
		kind schema.GroupKind
	}{
		{"hook", schema.GroupKind{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}},
		{"web", schema.GroupKind{Group: "apps", Kind: "Deployment"}},
		{"widget", schema.GroupKind{Group: "example.com", Kind: "Widget"}},
		{"settings", schema.GroupKind{Kind: "ConfigMap"}},
		{"widgets", schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}},
		{"credentials", schema.GroupKind{Kind: "Secret"}},
		{"shop", schema.GroupKind{Kind: "Namespace"}},
	}
	queue := newRanked()
	for _, a := range arrivals {
		queue.Push(item{name: a.name, rank: rankOf(a.kind)})
	}
	var got []string
	for queue.Len() > 0 {
		got = append(got, queue.Pop().name)
	}
	// What others need goes first; among equals, what came first.
	want := []string{"shop", "widgets", "settings", "credentials", "web", "widget", "hook"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order: -want +got:\n%s", diff)
	}
}
