// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dialer

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
)

// slice is an EndpointSlice with port web = 8443.
func slice(endpoints ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
	return discoveryv1.EndpointSlice{
		Ports:     []discoveryv1.EndpointPort{{Name: new("other"), Port: ptr.To[int32](1)}, {Name: new("web"), Port: ptr.To[int32](8443)}},
		Endpoints: endpoints,
	}
}

func endpoint(pod string, ready *bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Conditions: discoveryv1.EndpointConditions{Ready: ready},
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: pod},
	}
}

func TestTargetsOf(t *testing.T) {
	node := endpoint("n1", nil)
	node.TargetRef.Kind = "Node"
	bare := endpoint("a", nil)
	bare.TargetRef.Namespace = ""
	elsewhere := endpoint("etcd", nil)
	elsewhere.TargetRef.Namespace = "kube-system"
	unnamed := slice(endpoint("a", nil))
	unnamed.Ports = []discoveryv1.EndpointPort{{Port: ptr.To[int32](80)}}
	cases := map[string]struct {
		reason string
		slices []discoveryv1.EndpointSlice
		port   string
		want   []target
		err    error
	}{
		"Ready":     {reason: "Ready, and not said to be otherwise.", slices: []discoveryv1.EndpointSlice{slice(endpoint("a", new(true)), endpoint("b", nil), endpoint("c", new(false)))}, port: "web", want: []target{{"ns", "a", 8443}, {"ns", "b", 8443}}},
		"Once":      {reason: "A Pod with two addresses is in two slices.", slices: []discoveryv1.EndpointSlice{slice(endpoint("a", nil)), slice(endpoint("a", nil))}, port: "web", want: []target{{"ns", "a", 8443}}},
		"Bare":      {reason: "A Pod without a namespace is of the Service's.", slices: []discoveryv1.EndpointSlice{slice(bare)}, port: "web", want: []target{{"ns", "a", 8443}}},
		"Elsewhere": {reason: "Who writes slices in a namespace reaches no Pods of another.", slices: []discoveryv1.EndpointSlice{slice(elsewhere)}, port: "web", err: errNoPods},
		"Path":      {reason: "A name is no way to other paths of the member.", slices: []discoveryv1.EndpointSlice{slice(endpoint("../../kube-system/pods/etcd", nil))}, port: "web", err: errNoPods},
		"Unnamed":   {reason: "The only port of a Service needs no name.", slices: []discoveryv1.EndpointSlice{unnamed}, want: []target{{"ns", "a", 80}}},
		"OtherPort": {reason: "No Pod has the port.", slices: []discoveryv1.EndpointSlice{slice(endpoint("a", nil))}, port: "metrics", err: errNoEndpoints},
		"Nothing":   {reason: "There is no slice.", port: "web", err: errNoEndpoints},
		"NotReady":  {reason: "No Pod is ready.", slices: []discoveryv1.EndpointSlice{slice(endpoint("a", new(false)))}, port: "web", err: errNoEndpoints},
		"NoPods":    {reason: "Addresses outside of Pods are not reached through them.", slices: []discoveryv1.EndpointSlice{slice(node, discoveryv1.Endpoint{})}, port: "web", err: errNoPods},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := targetsOf(tc.slices, "ns", tc.port)
			if !errors.Is(err, tc.err) {
				t.Errorf("\n%s\ntargetsOf(...): want error %v, got %v", tc.reason, tc.err, err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(target{})); diff != "" {
				t.Errorf("\n%s\ntargetsOf(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
