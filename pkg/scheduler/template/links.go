// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"cmp"
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

// Links tie a template to others, for policies that send along what belongs
// together.
type Links struct {
	// Needs are the templates it refers to and does not work without. Sorted.
	Needs []Key
	// Matching are those it finds by their labels.
	Matching []Match
	// Targets are the templates it is of use to: it goes where one of them goes.
	// Sorted.
	Targets []Key
	// Pods are the Pods of its namespace it is of use to: it goes where a workload
	// with such Pods goes. Nil when it is of use to none.
	Pods labels.Selector
	// Fronts are the templates it leads to: it goes along with those of them that
	// are of use to Pods. Sorted.
	Fronts []Key
}

// Match finds templates of one kind by their labels.
type Match struct {
	// Kind of the templates.
	Kind schema.GroupKind
	// Namespace of the templates, empty for cluster-scoped ones.
	Namespace string
	// Selector of their labels.
	Selector labels.Selector
}

// Equal reports whether both tie a template to the same; nil ties it to nothing.
func (l *Links) Equal(other *Links) bool {
	if l == nil || other == nil {
		return l == other
	}
	return slices.Equal(l.Needs, other.Needs) && slices.Equal(l.Targets, other.Targets) && slices.Equal(l.Fronts, other.Fronts) &&
		text(l.Pods) == text(other.Pods) && slices.EqualFunc(l.Matching, other.Matching, func(a, b Match) bool {
		return a.Kind == b.Kind && a.Namespace == b.Namespace && text(a.Selector) == text(b.Selector)
	})
}

// text tells selectors apart. None, one that selects everything and one that
// selects nothing are three.
func text(selector labels.Selector) string {
	switch {
	case selector == nil:
		return "none"
	case selector.Empty():
		return "everything"
	default:
		return "by " + selector.String()
	}
}

// linksOf sorts links; without any it returns nil. Keys without a name refer to
// nothing.
func linksOf(links Links) *Links {
	links.Needs, links.Targets, links.Fronts = tidy(links.Needs), tidy(links.Targets), tidy(links.Fronts)
	if len(links.Needs)+len(links.Matching)+len(links.Targets)+len(links.Fronts) == 0 && links.Pods == nil {
		return nil
	}
	return &links
}

func tidy(keys []Key) []Key {
	keys = slices.DeleteFunc(keys, func(k Key) bool { return k.Name == "" })
	if len(keys) == 0 {
		return nil
	}
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(keys)
}

func readService(s *corev1.Service) Traits {
	if len(s.Spec.Selector) == 0 {
		return Traits{}
	}
	return Traits{Links: &Links{Pods: labels.SelectorFromSet(s.Spec.Selector)}}
}

// readServiceAccount finds the Secrets that Pods of the account pull images with.
func readServiceAccount(a *corev1.ServiceAccount) Traits {
	var links Links
	for _, secret := range a.ImagePullSecrets {
		links.Needs = append(links.Needs, Key{Kind: "Secret", Namespace: a.Namespace, Name: secret.Name})
	}
	return Traits{Links: linksOf(links)}
}

// readPodDisruptionBudget follows policy/v1: an empty selector is of every Pod of
// the namespace, none is of no Pod.
func readPodDisruptionBudget(b *policyv1.PodDisruptionBudget) Traits {
	if b.Spec.Selector == nil {
		return Traits{}
	}
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		// Validation lets none through that cannot be read.
		return Traits{}
	}
	return Traits{Links: &Links{Pods: selector}}
}

func readAutoscaler(a *autoscalingv2.HorizontalPodAutoscaler) Traits {
	ref := a.Spec.ScaleTargetRef
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	return Traits{Links: linksOf(Links{Targets: []Key{{Group: kind.Group, Kind: kind.Kind, Namespace: a.Namespace, Name: ref.Name}}})}
}

func readIngress(i *networkingv1.Ingress) Traits {
	var links Links
	for _, backend := range backends(i) {
		if backend.Service != nil {
			links.Fronts = append(links.Fronts, Key{Kind: "Service", Namespace: i.Namespace, Name: backend.Service.Name})
		}
		if resource := backend.Resource; resource != nil {
			links.Needs = append(links.Needs, Key{Group: ptr.Deref(resource.APIGroup, ""), Kind: resource.Kind, Namespace: i.Namespace, Name: resource.Name})
		}
	}
	links.Needs = append(links.Needs, links.Fronts...)
	for _, tls := range i.Spec.TLS {
		links.Needs = append(links.Needs, Key{Kind: "Secret", Namespace: i.Namespace, Name: tls.SecretName})
	}
	links.Needs = append(links.Needs, Key{Group: networkingv1.GroupName, Kind: "IngressClass", Name: ptr.Deref(i.Spec.IngressClassName, "")})
	return Traits{Links: linksOf(links)}
}

func backends(i *networkingv1.Ingress) []networkingv1.IngressBackend {
	var all []networkingv1.IngressBackend
	if i.Spec.DefaultBackend != nil {
		all = append(all, *i.Spec.DefaultBackend)
	}
	for _, rule := range i.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			all = append(all, path.Backend)
		}
	}
	return all
}
