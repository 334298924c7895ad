// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

func TestPresumedEndpoints(t *testing.T) {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u", ResourceVersion: "7", Annotations: map[string]string{"a": "b"}},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}, {Name: "https", Port: 443}}},
	}
	gone := cache.DeletedFinalStateUnknown{Key: "ns/web"}
	cases := map[string]struct {
		reason string
		object any
		want   any
	}{
		"Service": {
			reason: "Each port of a Service has an endpoint that is ready.",
			object: service,
			want: &discoveryv1.EndpointSlice{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u", ResourceVersion: "7", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
				Endpoints:  []discoveryv1.Endpoint{{}},
				Ports:      []discoveryv1.EndpointPort{{Name: new(""), Port: ptr.To[int32](80)}, {Name: new("https"), Port: ptr.To[int32](443)}},
			},
		},
		"Other": {reason: "What is no Service stays as it is.", object: gone, want: gone},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := presumedEndpoints(tc.object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\npresumedEndpoints(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestIsServiceProxy(t *testing.T) {
	of := func(change func(*request.RequestInfo)) *request.RequestInfo {
		info := &request.RequestInfo{IsResourceRequest: true, APIVersion: "v1", Namespace: "ns", Resource: "services", Name: "web", Subresource: "proxy"}
		if change != nil {
			change(info)
		}
		return info
	}
	cases := map[string]struct {
		reason string
		info   *request.RequestInfo
		want   bool
	}{
		"Proxy":     {reason: "The subresource proxy of a Service.", info: of(nil), want: true},
		"Service":   {reason: "The Service itself.", info: of(func(info *request.RequestInfo) { info.Subresource = "" })},
		"Status":    {reason: "Another subresource.", info: of(func(info *request.RequestInfo) { info.Subresource = "status" })},
		"Pod":       {reason: "Another resource.", info: of(func(info *request.RequestInfo) { info.Resource = "pods" })},
		"Group":     {reason: "Another group.", info: of(func(info *request.RequestInfo) { info.APIGroup = "example.com" })},
		"Namespace": {reason: "No namespace; upstream refuses that.", info: of(func(info *request.RequestInfo) { info.Namespace = "" })},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := isServiceProxy(tc.info); got != tc.want {
				t.Errorf("\n%s\nisServiceProxy(...): want %v, got %v", tc.reason, tc.want, got)
			}
		})
	}
}
