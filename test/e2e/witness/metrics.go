// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"
)

// Requests counts the requests an API server has answered since it started.
type Requests map[Request]float64

// Request is a sort of request, as the metric apiserver_request_total tells them
// apart. Verb is upper case, "APPLY" for server-side apply.
type Request struct {
	Verb, Group, Resource, Subresource string
}

// String is a short name such as "POST events" or "PUT deployments.apps/status".
func (r Request) String() string {
	out := r.Verb + " " + r.Resource
	if r.Group != "" {
		out += "." + r.Group
	}
	if r.Subresource != "" {
		out += "/" + r.Subresource
	}
	return out
}

// ReadRequests reads the counters from /metrics. Long-running requests are left
// out: they are connections, and count when they end.
func ReadRequests(ctx context.Context, server rest.Interface) (Requests, error) {
	raw, err := server.Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	out := Requests{}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, pair := range metric.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		if labels["verb"] == "WATCH" || labels["verb"] == "CONNECT" || labels["resource"] == "" || labels["dry_run"] != "" {
			continue
		}
		key := Request{Verb: labels["verb"], Group: labels["group"], Resource: labels["resource"], Subresource: labels["subresource"]}
		out[key] += metric.GetCounter().GetValue()
	}
	return out, nil
}

// Since are the requests between an earlier reading and this one.
func (r Requests) Since(earlier Requests) Requests {
	out := Requests{}
	for key, count := range r {
		if d := count - earlier[key]; d > 0 {
			out[key] = d
		}
	}
	return out
}

// Plus adds two counts.
func (r Requests) Plus(more Requests) Requests {
	out := maps.Clone(r)
	if out == nil {
		out = Requests{}
	}
	for key, count := range more {
		out[key] += count
	}
	return out
}

// Total is the sum of all that match, of everything when match is nil.
func (r Requests) Total(match func(Request) bool) float64 {
	total := 0.0
	for key, count := range r {
		if match == nil || match(key) {
			total += count
		}
	}
	return total
}

// IsWrite matches requests that can change something, other than reviews and
// leases.
func IsWrite(r Request) bool {
	switch r.Verb {
	case "GET", "LIST":
		return false
	}
	return r.Resource != "leases" && !strings.HasSuffix(r.Resource, "reviews")
}

// Sorted are the sorts of requests, the most frequent first.
func (r Requests) Sorted() []Request {
	return slices.SortedFunc(maps.Keys(r), func(a, b Request) int {
		if r[a] != r[b] {
			return int(r[b] - r[a])
		}
		return strings.Compare(a.String(), b.String())
	})
}
