// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

var (
	core = &metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "pods", Kind: "Pod", Namespaced: true},
		{Name: "pods/log", Kind: "Pod", Namespaced: true},
		{Name: "namespaces", Kind: "Namespace"},
	}}
	metrics = &metav1.APIResourceList{GroupVersion: "metrics.k8s.io/v1beta1", APIResources: []metav1.APIResource{
		{Name: "nodes", Kind: "NodeMetrics"},
	}}
	metricsVersion = schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1beta1"}
)

func TestAPIs(t *testing.T) {
	apis := newAPIs([]*metav1.APIResourceList{core}, nil, nil)
	pod, ok := apis.Resource(schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	want := Resource{GroupVersionResource: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, Namespaced: true}
	if !ok || pod != want {
		t.Errorf("Resource(Pod) = %v, %t, want %v: a subresource is not how a kind is served", pod, ok, want)
	}
	wantEnablements := []clusterv1alpha1.APIEnablement{{GroupVersion: "v1", Resources: []clusterv1alpha1.APIResource{
		{Name: "namespaces", Kind: "Namespace"}, {Name: "pods", Kind: "Pod"},
	}}}
	if diff := cmp.Diff(wantEnablements, apis.Enablements()); diff != "" {
		t.Errorf("Enablements(): -want +got:\n%s", diff)
	}
	if again := newAPIs([]*metav1.APIResourceList{core}, nil, nil); again.hash() != apis.hash() {
		t.Error("hash() of the same APIs differs")
	}
	if more := newAPIs([]*metav1.APIResourceList{core, metrics}, nil, nil); more.hash() == apis.hash() {
		t.Error("hash() of other APIs is the same")
	}
}

// TestAPIsWithoutKinds has versions that serve no kind of their own, as those of custom and
// external metrics do: they are served all the same.
func TestAPIsWithoutKinds(t *testing.T) {
	custom := &metav1.APIResourceList{GroupVersion: "custom.metrics.k8s.io/v1beta1", APIResources: []metav1.APIResource{
		{Name: "pods/waiting", Kind: "MetricValueList", Namespaced: true, Verbs: metav1.Verbs{"get"}},
	}}
	external := &metav1.APIResourceList{GroupVersion: "external.metrics.k8s.io/v1beta1"}
	apis := newAPIs([]*metav1.APIResourceList{custom, external}, nil, nil)
	want := []clusterv1alpha1.APIEnablement{{GroupVersion: custom.GroupVersion}, {GroupVersion: external.GroupVersion}}
	if diff := cmp.Diff(want, apis.Enablements()); diff != "" {
		t.Errorf("Enablements(): -want +got:\n%s", diff)
	}
	if fewer := newAPIs([]*metav1.APIResourceList{custom}, nil, nil); fewer.hash() == apis.hash() {
		t.Error("hash() of other versions is the same")
	}
	failed := map[schema.GroupVersion]error{{Group: "custom.metrics.k8s.io", Version: "v1beta1"}: errors.New("no endpoints")}
	partial := newAPIs([]*metav1.APIResourceList{external}, failed, apis)
	if diff := cmp.Diff(want, partial.Enablements()); diff != "" {
		t.Errorf("Enablements() while discovery of one fails: -want +got:\n%s", diff)
	}
}

func TestAPIsKeepWhatFails(t *testing.T) {
	known := newAPIs([]*metav1.APIResourceList{core, metrics}, nil, nil)
	failed := map[schema.GroupVersion]error{metricsVersion: errors.New("no endpoints")}
	partial := newAPIs([]*metav1.APIResourceList{core}, failed, known)
	if _, ok := partial.Resource(metricsVersion.WithKind("NodeMetrics")); !ok {
		t.Error("a version whose discovery fails is forgotten; its objects would seem not to exist")
	}
	if partial.Complete() || !partial.Uncertain("metrics.k8s.io") || partial.Uncertain("apps") {
		t.Errorf("Complete() = %t, Uncertain(metrics.k8s.io) = %t, Uncertain(apps) = %t, want false, true, false",
			partial.Complete(), partial.Uncertain("metrics.k8s.io"), partial.Uncertain("apps"))
	}
	gone := newAPIs([]*metav1.APIResourceList{core}, nil, partial)
	if _, ok := gone.Resource(metricsVersion.WithKind("NodeMetrics")); ok || !gone.Complete() {
		t.Error("a version that is not listed any more, and does not fail, is kept")
	}
}
