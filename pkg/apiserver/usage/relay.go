// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/pkg/api/legacyscheme"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/projection"
)

// Groups whose paths are names of metrics.
const (
	customGroup   = "custom.metrics.k8s.io"
	externalGroup = "external.metrics.k8s.io"
)

// relay serves a group whose paths are names of metrics, in whatever version, by asking
// members the same.
type relay struct {
	*fanOut

	group     string
	pods      Pods
	templates projection.Templates
}

// valueList is a list of values in any version.
type valueList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []value `json:"items"`
}

// value is one value in any version.
type value = map[string]any

// ServeHTTP implements http.Handler.
func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	info, ok := request.RequestInfoFrom(req.Context())
	version := schema.GroupVersion{Group: r.group}
	if ok {
		version.Version = info.APIVersion
	}
	answer, err := r.answer(req, info, version)
	if err != nil {
		responsewriters.ErrorNegotiated(err, legacyscheme.Codecs, version, w, req)
		return
	}
	responsewriters.WriteRawJSON(http.StatusOK, answer, w)
}

func (r *relay) answer(req *http.Request, info *request.RequestInfo, version schema.GroupVersion) (any, error) {
	switch {
	case req.Method != http.MethodGet:
		return nil, apierrors.NewMethodNotSupported(schema.GroupResource{Group: r.group}, req.Method)
	case info != nil && info.IsResourceRequest:
		return r.values(req.Context(), info, version, req.URL.Query())
	}
	named := strings.Split(strings.Trim(strings.TrimPrefix(req.URL.Path, "/apis/"+r.group), "/"), "/")
	switch {
	case len(named) > 1:
		return nil, errNotServed
	case named[0] != "":
		return r.resources(req.Context(), schema.GroupVersion{Group: r.group, Version: named[0]})
	default:
		members, _ := r.members.MetricsMembers()
		if group := groupOf(members, r.group); group != nil {
			return group, nil
		}
		return nil, errNotServed
	}
}

// resources lists the metrics that members have.
func (r *relay) resources(ctx context.Context, version schema.GroupVersion) (*metav1.APIResourceList, error) {
	answers, err := ask[metav1.APIResourceList](ctx, r.fanOut, question{version: version, path: everybody("")})
	if err != nil {
		return nil, err
	}
	list := &metav1.APIResourceList{
		TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: version.String(), APIResources: []metav1.APIResource{},
	}
	for _, answer := range answers {
		list.APIResources = append(list.APIResources, answer.body.APIResources...)
	}
	byName := func(a, b metav1.APIResource) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortStableFunc(list.APIResources, byName)
	list.APIResources = slices.CompactFunc(list.APIResources, func(a, b metav1.APIResource) bool { return byName(a, b) == 0 })
	return list, nil
}

// values asks for the values of a metric.
func (r *relay) values(ctx context.Context, info *request.RequestInfo, version schema.GroupVersion, query url.Values) (*valueList, error) {
	if err := checkSegments(append([]string{info.Namespace}, info.Parts...)...); err != nil {
		return nil, err
	}
	selector, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("parse labelSelector: %v", err))
	}
	query.Del("labelSelector")
	if pushed := inMember(selector); !pushed.Empty() {
		query.Set("labelSelector", pushed.String())
	}
	q := question{
		version: version, selector: selector, query: query, path: everybody(pathOf(info, "")),
		sum: r.group == externalGroup || info.Resource != "pods" && info.Resource != "nodes",
	}
	if r.group == customGroup {
		r.direct(ctx, info, &q)
	}
	if r.group == externalGroup {
		answers, err := ask[valueList](ctx, r.fanOut, q)
		return merged(answers, external(answers)), err
	}
	answers, err := ask[customList](ctx, r.fanOut, q)
	if err != nil {
		return nil, err
	}
	items, err := custom(answers, &shower{pods: r.pods, templates: r.templates, selector: selector, of: askedFor(info)})
	return merged(answers, items), err
}

// checkSegments refuses what leads out of the path of a request to a member.
func checkSegments(segments ...string) error {
	for _, segment := range segments {
		if segment != "" && len(content.IsPathSegmentName(segment)) > 0 {
			return apierrors.NewBadRequest(fmt.Sprintf("%q cannot be part of the path of a metric", segment))
		}
	}
	return nil
}

// merged is a list like those that members answered.
func merged[T lister](answers []answer[T], items []value) *valueList {
	list := &valueList{Items: items}
	for _, answer := range answers {
		list.TypeMeta = answer.body.kind()
	}
	return list
}

// lister is a list of values.
type lister interface{ kind() metav1.TypeMeta }

func (l valueList) kind() metav1.TypeMeta { return l.TypeMeta }

// everyObject is the name for all objects that a selector selects.
const everyObject = "*"

// direct has a question about one Pod or Node go to its member, by the name it has
// there.
func (r *relay) direct(ctx context.Context, info *request.RequestInfo, q *question) {
	if info.Resource == "pods" {
		r.pods.Need(ctx)
	}
	if info.Name == everyObject {
		return
	}
	var name, member string
	found := false
	switch info.Resource {
	case "pods":
		member, name, found = r.pods.Find(info.Namespace, info.Name)
	case "nodes":
		name, member, found = splitNode(info.Name)
	}
	if found {
		q.path = func(asked string) (string, bool) { return pathOf(info, name), asked == member }
	}
}

// pathOf is the path of a request below the version; name, unless empty, is that of the
// object. The parts of a request about a namespace itself begin with it.
func pathOf(info *request.RequestInfo, name string) string {
	var segments []string
	if info.Namespace != "" && (len(info.Parts) == 0 || info.Parts[0] != "namespaces") {
		segments = []string{"namespaces", info.Namespace}
	}
	parts := slices.Clone(info.Parts)
	if name != "" && len(parts) > 1 {
		parts[1] = name
	}
	return strings.Join(append(segments, parts...), "/")
}

// external are the values of all members, each with the label of its member.
func external(answers []answer[valueList]) []value {
	items := []value{}
	for _, answer := range answers {
		for _, item := range answer.body.Items {
			series, ok := item["metricLabels"].(map[string]any)
			if !ok {
				series = map[string]any{}
			}
			series[wellknown.LabelCluster] = answer.member
			item["metricLabels"] = series
			items = append(items, item)
		}
	}
	return items
}
