// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/metrics/pkg/apis/metrics"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/projection"
)

// nodeMetrics are the NodeMetrics of all members.
type nodeMetrics struct {
	*fanOut
}

var (
	_ rest.KindProvider         = &nodeMetrics{}
	_ rest.Storage              = &nodeMetrics{}
	_ rest.Getter               = &nodeMetrics{}
	_ rest.Lister               = &nodeMetrics{}
	_ rest.Scoper               = &nodeMetrics{}
	_ rest.SingularNameProvider = &nodeMetrics{}
)

// New implements rest.Storage.
func (*nodeMetrics) New() runtime.Object { return &metrics.NodeMetrics{} }

// Destroy implements rest.Storage.
func (*nodeMetrics) Destroy() {}

// Kind implements rest.KindProvider.
func (*nodeMetrics) Kind() string { return "NodeMetrics" }

// GetSingularName implements rest.SingularNameProvider.
func (*nodeMetrics) GetSingularName() string { return "" }

// NamespaceScoped implements rest.Scoper.
func (*nodeMetrics) NamespaceScoped() bool { return false }

// NewList implements rest.Lister.
func (*nodeMetrics) NewList() runtime.Object { return &metrics.NodeMetricsList{} }

// List implements rest.Lister.
func (n *nodeMetrics) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	of := selectionOf(options)
	query := url.Values{}
	if pushed := inMember(of.labels); !pushed.Empty() {
		query.Set("labelSelector", pushed.String())
	}
	answers, err := ask[metricsv1beta1.NodeMetricsList](ctx, n.fanOut, question{
		version: metricsv1beta1.SchemeGroupVersion, selector: of.labels, path: everybody("nodes"), query: query,
	})
	if err != nil {
		return nil, err
	}
	found := []metrics.NodeMetrics{}
	for _, answer := range answers {
		for i := range answer.body.Items {
			if shown, ok := showNode(answer.member, &answer.body.Items[i]); ok && of.matches(shown.ObjectMeta) {
				found = append(found, shown)
			}
		}
	}
	slices.SortFunc(found, func(a, b metrics.NodeMetrics) int { return cmp.Compare(a.Name, b.Name) })
	return &metrics.NodeMetricsList{Items: found}, nil
}

// Get implements rest.Getter.
func (n *nodeMetrics) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if err := checkSegments(name); err != nil {
		return nil, err
	}
	missing := apierrors.NewNotFound(metrics.Resource("nodemetrics"), name)
	node, member, ok := splitNode(name)
	if !ok || checkSegments(node) != nil {
		return nil, missing
	}
	answers, err := ask[metricsv1beta1.NodeMetrics](ctx, n.fanOut, question{
		version: metricsv1beta1.SchemeGroupVersion,
		path:    func(asked string) (string, bool) { return "nodes/" + node, asked == member },
	})
	if apierrors.IsNotFound(err) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	shown, ok := showNode(answers[0].member, &answers[0].body)
	if !ok {
		return nil, missing
	}
	return &shown, nil
}

// splitNode reads the fleet's name of a member's Node. Names of members have no dots.
func splitNode(name string) (node, member string, ok bool) {
	at := strings.LastIndexByte(name, '.')
	if at < 0 {
		return "", "", false
	}
	return name[:at], name[at+1:], true
}

// showNode returns what a member measured as the fleet's.
func showNode(member string, measured *metricsv1beta1.NodeMetrics) (metrics.NodeMetrics, bool) {
	made := metrics.NodeMetrics{}
	if metricsv1beta1.Convert_v1beta1_NodeMetrics_To_metrics_NodeMetrics(measured, &made, nil) != nil {
		return made, false
	}
	labels := maps.Clone(measured.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[wellknown.LabelCluster] = member
	made.ObjectMeta = metav1.ObjectMeta{
		Name: projection.NodeName(member, measured.Name), Labels: labels, CreationTimestamp: measured.CreationTimestamp,
	}
	return made, true
}

// ConvertToTable implements rest.TableConvertor.
func (*nodeMetrics) ConvertToTable(_ context.Context, object, _ runtime.Object) (*metav1.Table, error) {
	var rows []row
	list := &metrics.NodeMetricsList{}
	switch o := object.(type) {
	case *metrics.NodeMetrics:
		list.Items = []metrics.NodeMetrics{*o}
	case *metrics.NodeMetricsList:
		list = o
	}
	for i := range list.Items {
		measured := &list.Items[i]
		rows = append(rows, row{object: measured, name: measured.Name, usage: measured.Usage, window: measured.Window})
	}
	return tableOf(rows, list.ListMeta), nil
}
