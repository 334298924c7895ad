// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestLinks(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "x"}
	key := func(kind, name string) Key { return Key{Kind: kind, Namespace: "shop", Name: name} }
	selector := func(text string) labels.Selector {
		parsed, err := labels.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	backend := func(service string) networkingv1.IngressBackend {
		return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service}}
	}
	cases := map[string]struct {
		reason string
		kind   schema.GroupVersionKind
		object runtime.Object
		want   *Links
	}{
		"Service": {
			reason: "A Service is of use to the Pods it selects.",
			kind:   corev1.SchemeGroupVersion.WithKind("Service"),
			object: &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "web", "tier": "front"}}},
			want:   &Links{Pods: selector("app=web,tier=front")},
		},
		"ServiceWithoutSelector": {
			reason: "Its endpoints are somebody else's.",
			kind:   corev1.SchemeGroupVersion.WithKind("Service"),
			object: &corev1.Service{ObjectMeta: meta},
		},
		"ServiceAccount": {
			reason: "Pods of the account pull their images with its Secrets.",
			kind:   corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
			object: &corev1.ServiceAccount{ObjectMeta: meta, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}, {}}},
			want:   &Links{Needs: []Key{key("Secret", "pull")}},
		},
		"Budget": {
			reason: "A budget is for the Pods it selects.",
			kind:   policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
			object: &policyv1.PodDisruptionBudget{ObjectMeta: meta, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"a", "b"}}},
			}}},
			want: &Links{Pods: selector("app in (a,b)")},
		},
		"BudgetForAll": {
			reason: "An empty selector selects everything.",
			kind:   policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
			object: &policyv1.PodDisruptionBudget{ObjectMeta: meta, Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{}}},
			want:   &Links{Pods: labels.Everything()},
		},
		"BudgetForNone": {
			reason: "No selector selects nothing.",
			kind:   policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
			object: &policyv1.PodDisruptionBudget{ObjectMeta: meta},
		},
		"Autoscaler": {
			reason: "It is of use to what it scales.",
			kind:   autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"),
			object: &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			}},
			want: &Links{Targets: []Key{{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}}},
		},
		"Ingress": {
			reason: "It leads to Services and needs them, its certificates and its class.",
			kind:   networkingv1.SchemeGroupVersion.WithKind("Ingress"),
			object: &networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{
				IngressClassName: new("nginx"),
				DefaultBackend: &networkingv1.IngressBackend{Resource: &corev1.TypedLocalObjectReference{
					APIGroup: new("example.com"), Kind: "Bucket", Name: "static",
				}},
				TLS: []networkingv1.IngressTLS{{SecretName: "tls"}, {}},
				Rules: []networkingv1.IngressRule{
					{Host: "a.example.com"},
					{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
						Paths: []networkingv1.HTTPIngressPath{{Backend: backend("web")}, {Backend: backend("api")}, {Backend: backend("web")}},
					}}},
				},
			}},
			want: &Links{
				Needs: []Key{
					key("Secret", "tls"), key("Service", "api"), key("Service", "web"),
					{Group: "example.com", Kind: "Bucket", Namespace: "shop", Name: "static"},
					{Group: "networking.k8s.io", Kind: "IngressClass", Name: "nginx"},
				},
				Fronts: []Key{key("Service", "api"), key("Service", "web")},
			},
		},
		"PlainIngress": {
			reason: "It refers to nothing.",
			kind:   networkingv1.SchemeGroupVersion.WithKind("Ingress"),
			object: &networkingv1.Ingress{ObjectMeta: meta},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := KindOf(tc.kind, true, false).Read(tc.object)
			if diff := cmp.Diff(tc.want, got.Links); diff != "" {
				t.Errorf("\n%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestLinksEqual(t *testing.T) {
	web := Key{Kind: "Service", Name: "web"}
	all := []*Links{
		nil,
		{},
		{Needs: []Key{web}},
		{Targets: []Key{web}},
		{Fronts: []Key{web}},
		{Pods: labels.Everything()},
		{Pods: labels.Nothing()},
		{Pods: labels.SelectorFromSet(labels.Set{"a": "b"})},
		{Matching: []Match{{Selector: labels.Everything()}}},
		{Matching: []Match{{Selector: labels.Everything(), Namespace: "shop"}}},
		{Matching: []Match{{Selector: labels.Nothing()}}},
	}
	for i, a := range all {
		for j, b := range all {
			if a.Equal(b) != (i == j) {
				t.Errorf("%d %+v and %d %+v: want equal %v", i, a, j, b, i == j)
			}
		}
	}
}
