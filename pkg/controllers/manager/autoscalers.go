// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	autoscalinginformers "k8s.io/client-go/informers/autoscaling/v2"
	autoscalinglisters "k8s.io/client-go/listers/autoscaling/v2"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	worklisters "fleet.dev/fleet/pkg/generated/listers/work/v1alpha1"
)

// autoscalerKind is the kind of HorizontalPodAutoscalers.
var autoscalerKind = schema.GroupKind{Group: autoscalingv2.GroupName, Kind: "HorizontalPodAutoscaler"}

// ownAutoscalers are the HorizontalPodAutoscalers that the fleet runs. One that a policy
// sends to members, by itself or along with what it scales, is run there, and there is
// none of that name here until the last member has confirmed that it has it no more: two
// of them would not come to an end.
//
// Its informer tells of all. What is looked up is looked up again with each period, so
// nobody has to be told that a binding changed.
type ownAutoscalers struct {
	autoscalinginformers.HorizontalPodAutoscalerInformer

	bindings worklisters.ResourceBindingLister
}

// Lister implements autoscalinginformers.HorizontalPodAutoscalerInformer.
func (o ownAutoscalers) Lister() autoscalinglisters.HorizontalPodAutoscalerLister {
	return ownAutoscalerLister{o.HorizontalPodAutoscalerInformer.Lister(), o.bindings}
}

type ownAutoscalerLister struct {
	autoscalinglisters.HorizontalPodAutoscalerLister

	bindings worklisters.ResourceBindingLister
}

// List implements autoscalinglisters.HorizontalPodAutoscalerLister.
func (l ownAutoscalerLister) List(selector labels.Selector) ([]*autoscalingv2.HorizontalPodAutoscaler, error) {
	found, err := l.HorizontalPodAutoscalerLister.List(selector)
	return l.own(found), err
}

// HorizontalPodAutoscalers implements autoscalinglisters.HorizontalPodAutoscalerLister.
func (l ownAutoscalerLister) HorizontalPodAutoscalers(namespace string) autoscalinglisters.HorizontalPodAutoscalerNamespaceLister {
	return ownAutoscalerNamespaceLister{l.HorizontalPodAutoscalerLister.HorizontalPodAutoscalers(namespace), l}
}

// own returns those that no member runs.
func (l ownAutoscalerLister) own(all []*autoscalingv2.HorizontalPodAutoscaler) []*autoscalingv2.HorizontalPodAutoscaler {
	var own []*autoscalingv2.HorizontalPodAutoscaler
	for _, autoscaler := range all {
		if !l.elsewhere(autoscaler.Namespace, autoscaler.Name) {
			own = append(own, autoscaler)
		}
	}
	return own
}

// elsewhere says whether a member runs an autoscaler.
func (l ownAutoscalerLister) elsewhere(namespace, name string) bool {
	binding, err := l.bindings.ResourceBindings(namespace).Get(workv1alpha1.BindingNameForGroupKind(autoscalerKind, name))
	return err == nil && len(binding.Spec.Holders())+len(binding.Spec.Tombstones) > 0
}

type ownAutoscalerNamespaceLister struct {
	autoscalinglisters.HorizontalPodAutoscalerNamespaceLister

	all ownAutoscalerLister
}

// List implements autoscalinglisters.HorizontalPodAutoscalerNamespaceLister.
func (l ownAutoscalerNamespaceLister) List(selector labels.Selector) ([]*autoscalingv2.HorizontalPodAutoscaler, error) {
	found, err := l.HorizontalPodAutoscalerNamespaceLister.List(selector)
	return l.all.own(found), err
}

// Get implements autoscalinglisters.HorizontalPodAutoscalerNamespaceLister.
func (l ownAutoscalerNamespaceLister) Get(name string) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	autoscaler, err := l.HorizontalPodAutoscalerNamespaceLister.Get(name)
	if err == nil && l.all.elsewhere(autoscaler.Namespace, name) {
		return nil, apierrors.NewNotFound(autoscalingv2.Resource("horizontalpodautoscalers"), name)
	}
	return autoscaler, err
}
