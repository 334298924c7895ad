// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetapi

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// watchTimeout bounds the wait for an event.
const watchTimeout = 60 * time.Second

// TestFieldSelectors shows for list and watch that a selector sees what it
// selects, and nothing else.
func TestFieldSelectors(t *testing.T) {
	tests := map[string]struct {
		resource        resource
		selected, other string // changes to the valid object
		selector        string
		leave           string // a change after which it is no longer selected
	}{
		"SyncMode": {
			resource: clusters, selected: `spec: {syncMode: Pull}`, other: `spec: {syncMode: Push}`,
			selector: "spec.syncMode=Pull", leave: `spec: {syncMode: Push}`,
		},
		"BindingKind": {
			resource: resourceBindings, selected: `spec: {resource: {kind: StatefulSet}}`, selector: "spec.resource.kind=StatefulSet",
		},
		"BindingName": {
			resource: resourceBindings, selected: `spec: {resource: {name: db}}`, selector: "spec.resource.name=db",
		},
		"BindingOfAnotherScheduler": {
			resource: resourceBindings, selected: `spec: {schedulerName: mine}`, selector: "spec.schedulerName!=default-scheduler",
			leave: `spec: {schedulerName: default-scheduler}`,
		},
		"ClusterBindingKind": {
			resource: clusterResourceBindings, selected: `spec: {resource: {kind: ClusterRoleBinding}}`, selector: "spec.resource.kind=ClusterRoleBinding",
		},
		"ByName": {
			resource: propagationPolicies, selector: "metadata.name=selected",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			list, err := tc.resource.in().List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			watcher, err := tc.resource.in().Watch(t.Context(), metav1.ListOptions{FieldSelector: tc.selector, ResourceVersion: list.GetResourceVersion()})
			if err != nil {
				t.Fatal(err)
			}
			defer watcher.Stop()
			create(t, tc.resource.named("other"), tc.other)
			made := create(t, tc.resource.named("selected"), tc.selected)
			expect(t, watcher, watch.Added, "selected")

			list, err = tc.resource.in().List(t.Context(), metav1.ListOptions{FieldSelector: tc.selector})
			if err != nil {
				t.Fatal(err)
			}
			names := slices.Collect(func(yield func(string) bool) {
				for _, item := range list.Items {
					if !yield(item.GetName()) {
						return
					}
				}
			})
			if diff := cmp.Diff([]string{"selected"}, names); diff != "" {
				t.Errorf("list with %s, -want +got:\n%s", tc.selector, diff)
			}
			if tc.leave != "" {
				put(t, tc.resource.named("selected"), "", made, tc.leave)
				expect(t, watcher, watch.Deleted, "selected")
			}
		})
	}
}

func expect(t *testing.T, watcher watch.Interface, kind watch.EventType, name string) {
	t.Helper()
	select {
	case event := <-watcher.ResultChan():
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok || event.Type != kind || object.GetName() != name {
			t.Fatalf("want %q %s, got %+v", name, kind, event)
		}
	case <-time.After(watchTimeout):
		t.Fatalf("no event %s of %q within %s", kind, name, watchTimeout)
	}
}

func TestUnsupportedFieldSelector(t *testing.T) {
	for _, r := range []resource{clusters, resourceBindings, clusterResourceBindings, works} {
		_, err := r.in().List(t.Context(), metav1.ListOptions{FieldSelector: "spec.colour=red"})
		want := `"spec.colour" is not supported for ` + r.kind
		if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("list %s by a field that is none: want 400 with %q, got %v", r.plural, want, err)
		}
	}
}
