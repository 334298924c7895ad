// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"cmp"
	"context"
	"net/url"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/metrics/pkg/apis/metrics"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/projection"
)

// podMetrics are the PodMetrics of the Pods that the fleet shows.
type podMetrics struct {
	*fanOut

	pods      Pods
	templates projection.Templates
}

var (
	_ rest.KindProvider         = &podMetrics{}
	_ rest.Storage              = &podMetrics{}
	_ rest.Getter               = &podMetrics{}
	_ rest.Lister               = &podMetrics{}
	_ rest.Scoper               = &podMetrics{}
	_ rest.SingularNameProvider = &podMetrics{}
)

// New implements rest.Storage.
func (*podMetrics) New() runtime.Object { return &metrics.PodMetrics{} }

// Destroy implements rest.Storage.
func (*podMetrics) Destroy() {}

// Kind implements rest.KindProvider.
func (*podMetrics) Kind() string { return "PodMetrics" }

// GetSingularName implements rest.SingularNameProvider. It is empty in every cluster:
// "pod" is a Pod.
func (*podMetrics) GetSingularName() string { return "" }

// NamespaceScoped implements rest.Scoper.
func (*podMetrics) NamespaceScoped() bool { return true }

// NewList implements rest.Lister.
func (*podMetrics) NewList() runtime.Object { return &metrics.PodMetricsList{} }

// List implements rest.Lister.
func (p *podMetrics) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	found, err := p.list(ctx, request.NamespaceValue(ctx), selectionOf(options))
	if err != nil {
		return nil, err
	}
	return &metrics.PodMetricsList{Items: found}, nil
}

// Get implements rest.Getter.
func (p *podMetrics) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	found, err := p.list(ctx, request.NamespaceValue(ctx), selected{
		labels: labels.Everything(), fields: fields.OneTermEqualSelector(metav1.ObjectNameField, name),
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, apierrors.NewNotFound(metrics.Resource("podmetrics"), name)
	}
	return &found[0], nil
}

// list returns what members measured of Pods that are selected. Labels and names are
// those the fleet shows.
func (p *podMetrics) list(ctx context.Context, namespace string, of selected) ([]metrics.PodMetrics, error) {
	if err := checkSegments(namespace); err != nil {
		return nil, err
	}
	p.pods.Need(ctx)
	path := "pods"
	if namespace != "" {
		path = "namespaces/" + namespace + "/pods"
	}
	query := url.Values{}
	if pushed := inMember(of.labels); !pushed.Empty() {
		query.Set("labelSelector", pushed.String())
	}
	answers, err := ask[metricsv1beta1.PodMetricsList](ctx, p.fanOut, question{
		version: metricsv1beta1.SchemeGroupVersion, selector: of.labels, path: everybody(path), query: query,
	})
	if err != nil {
		return nil, err
	}
	found := []metrics.PodMetrics{}
	for _, answer := range answers {
		for i := range answer.body.Items {
			if shown, ok := p.show(answer.member, &answer.body.Items[i]); ok && of.matches(shown.ObjectMeta) {
				found = append(found, shown)
			}
		}
	}
	slices.SortFunc(found, func(a, b metrics.PodMetrics) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return found, nil
}

// show returns what a member measured as the fleet's, false for a Pod that the fleet
// does not show.
func (p *podMetrics) show(member string, measured *metricsv1beta1.PodMetrics) (metrics.PodMetrics, bool) {
	name := types.NamespacedName{Namespace: measured.Namespace, Name: measured.Name}
	pod, ok := shownPod(p.pods, p.templates, member, name, measured.Labels[wellknown.LabelManagedBy] != "")
	made := metrics.PodMetrics{}
	if !ok || metricsv1beta1.Convert_v1beta1_PodMetrics_To_metrics_PodMetrics(measured, &made, nil) != nil {
		return made, false
	}
	made.ObjectMeta = metav1.ObjectMeta{
		Namespace: pod.GetNamespace(), Name: pod.GetName(), Labels: pod.GetLabels(), CreationTimestamp: measured.CreationTimestamp,
	}
	return made, true
}

// shownPod returns what the fleet shows of a member's Pod. One that is stored in the
// fleet is in the members that are to have it, whatever others say.
func shownPod(pods Pods, templates projection.Templates, member string, pod types.NamespacedName, bare bool) (metav1.Object, bool) {
	if bare {
		if _, ok := templates.Template(member, schema.GroupKind{Kind: podKind}, pod.Namespace, pod.Name); !ok {
			return nil, false
		}
	}
	return pods.Shown(member, pod, bare)
}

// ConvertToTable implements rest.TableConvertor.
func (*podMetrics) ConvertToTable(_ context.Context, object, _ runtime.Object) (*metav1.Table, error) {
	var rows []row
	list := &metrics.PodMetricsList{}
	switch o := object.(type) {
	case *metrics.PodMetrics:
		list.Items = []metrics.PodMetrics{*o}
	case *metrics.PodMetricsList:
		list = o
	}
	for i := range list.Items {
		measured := &list.Items[i]
		rows = append(rows, row{object: measured, name: measured.Name, usage: podUsage(measured), window: measured.Window})
	}
	return tableOf(rows, list.ListMeta), nil
}

// selected is what a request selects.
type selected struct {
	labels labels.Selector
	fields fields.Selector
}

func selectionOf(options *metainternalversion.ListOptions) selected {
	of := selected{labels: labels.Everything(), fields: fields.Everything()}
	if options != nil && options.LabelSelector != nil {
		of.labels = options.LabelSelector
	}
	if options != nil && options.FieldSelector != nil {
		of.fields = options.FieldSelector
	}
	return of
}

func (s selected) matches(object metav1.ObjectMeta) bool {
	return s.labels.Matches(labels.Set(object.Labels)) &&
		s.fields.Matches(fields.Set{metav1.ObjectNameField: object.Name, "metadata.namespace": object.Namespace})
}
