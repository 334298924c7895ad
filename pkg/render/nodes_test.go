// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// specsOf renders a template for members a and b, and returns the Pod spec that each
// gets at a path.
func specsOf(t *testing.T, object map[string]any, path ...string) map[string]map[string]any {
	t.Helper()
	template, err := Prepare(&unstructured.Unstructured{Object: object})
	if err != nil {
		t.Fatal(err)
	}
	binding := &workv1alpha1.ResourceBinding{}
	binding.Spec.Resource = workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web"}
	binding.Spec.Clusters = []workv1alpha1.TargetCluster{{Name: "a"}, {Name: "b"}}
	specs := map[string]map[string]any{}
	for _, result := range Works("f", template, binding) {
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		manifest := map[string]any{}
		if err := json.Unmarshal(result.Work.Spec.Workload.Manifests[0].Raw, &manifest); err != nil {
			t.Fatal(err)
		}
		specs[result.Cluster] = mapAt(manifest, path...)
	}
	return specs
}

func TestNamesOfNodes(t *testing.T) {
	type spec = map[string]any
	values := func(names ...any) []any { return names }
	term := func(field, key, operator string, names ...any) spec {
		requirement := spec{"key": key, "operator": operator}
		if len(names) > 0 {
			requirement["values"] = values(names...)
		}
		return spec{field: []any{requirement}}
	}
	required := func(term spec) spec {
		return spec{"affinity": spec{"nodeAffinity": spec{"requiredDuringSchedulingIgnoredDuringExecution": spec{"nodeSelectorTerms": []any{term}}}}}
	}
	preferred := func(term spec) spec {
		return spec{"affinity": spec{"nodeAffinity": spec{"preferredDuringSchedulingIgnoredDuringExecution": []any{spec{"weight": 1.0, "preference": term}}}}}
	}
	const hostname, expressions, fields = "kubernetes.io/hostname", "matchExpressions", "matchFields"
	cases := map[string]struct {
		reason     string
		spec, a, b spec
	}{
		"None":        {reason: "Nothing names a node.", spec: spec{"nodeSelector": spec{"disk": "n1.a"}}, a: spec{"nodeSelector": spec{"disk": "n1.a"}}, b: spec{"nodeSelector": spec{"disk": "n1.a"}}},
		"NodeName":    {reason: "The member calls its node without its own name.", spec: spec{"nodeName": "n1.a"}, a: spec{"nodeName": "n1"}, b: spec{"nodeName": "n1.a"}},
		"Selector":    {reason: "So it does in its labels.", spec: spec{"nodeSelector": spec{hostname: "n1.x.b"}}, a: spec{"nodeSelector": spec{hostname: "n1.x.b"}}, b: spec{"nodeSelector": spec{hostname: "n1.x"}}},
		"Unqualified": {reason: "A name without a member's is carried as it is.", spec: spec{"nodeSelector": spec{hostname: "n1"}}, a: spec{"nodeSelector": spec{hostname: "n1"}}, b: spec{"nodeSelector": spec{hostname: "n1"}}},
		"In":          {reason: "Of several, each member has its own.", spec: required(term(expressions, hostname, "In", "n1.a", "n2.b", "n3")), a: required(term(expressions, hostname, "In", "n1", "n2.b", "n3")), b: required(term(expressions, hostname, "In", "n1.a", "n2", "n3"))},
		"NotIn":       {reason: "It keeps off its own.", spec: required(term(expressions, hostname, "NotIn", "n1.a")), a: required(term(expressions, hostname, "NotIn", "n1")), b: required(term(expressions, hostname, "NotIn", "n1.a"))},
		"Exists":      {reason: "There are no values.", spec: required(term(expressions, hostname, "Exists")), a: required(term(expressions, hostname, "Exists")), b: required(term(expressions, hostname, "Exists"))},
		"OtherKey":    {reason: "It is about another label.", spec: required(term(expressions, "rack", "In", "n1.a")), a: required(term(expressions, "rack", "In", "n1.a")), b: required(term(expressions, "rack", "In", "n1.a"))},
		"Field":       {reason: "The name is a field as well.", spec: required(term(fields, "metadata.name", "In", "n1.a")), a: required(term(fields, "metadata.name", "In", "n1")), b: required(term(fields, "metadata.name", "In", "n1.a"))},
		"Preferred":   {reason: "What is preferred is no less the user's.", spec: preferred(term(expressions, hostname, "In", "n1.b")), a: preferred(term(expressions, hostname, "In", "n1.b")), b: preferred(term(expressions, hostname, "In", "n1"))},
		"Shapeless":   {reason: "What has no shape is the member's to refuse.", spec: spec{"nodeSelector": "n1.a", "nodeName": 1.0}, a: spec{"nodeSelector": "n1.a", "nodeName": 1.0}, b: spec{"nodeSelector": "n1.a", "nodeName": 1.0}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			object := map[string]any{
				"apiVersion": "batch/v1", "kind": "CronJob", "metadata": spec{"namespace": "shop", "name": "web"},
				"spec": spec{"jobTemplate": spec{"spec": spec{"template": spec{"spec": tc.spec}}}},
			}
			got := specsOf(t, object, "spec", "jobTemplate", "spec", "template", "spec")
			if diff := cmp.Diff(map[string]spec{"a": tc.a, "b": tc.b}, got); diff != "" {
				t.Errorf("\n%s\nspecs by member: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestNodeOfPod carries the node that a Pod was made for to the member that has it, and
// no other: a Pod on a node that does not exist would be cleared away there.
func TestNodeOfPod(t *testing.T) {
	cases := map[string]struct {
		reason, node string
		want         map[string]map[string]any
	}{
		"Its":   {reason: "The Node is that of member a.", node: "n1.a", want: map[string]map[string]any{"a": {"nodeName": "n1"}, "b": {}}},
		"Plain": {reason: "The fleet has no such Node.", node: "n1", want: map[string]map[string]any{"a": {}, "b": {}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := specsOf(t, map[string]any{
				"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": "shop", "name": "web"}, "spec": map[string]any{"nodeName": tc.node},
			}, "spec")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nspecs by member: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
