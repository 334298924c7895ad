// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/rollup"
)

// now is the time of every test; before is when the statuses they start from
// were written.
var (
	now    = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	before = now.Add(-time.Minute)
)

// fields reads YAML as an API server's JSON would be read.
func fields(t *testing.T, text string) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("parse %q: %v", text, err)
	}
	var out map[string]any
	if err := utiljson.Unmarshal(data, &out); err != nil {
		t.Fatalf("parse %q: %v", text, err)
	}
	return out
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	return &unstructured.Unstructured{Object: fields(t, text)}
}

// a member names only what a test is about: it applied the work and reflects
// generation 1, and the replicas were divided, unless said otherwise.
type member struct {
	name       string
	replicas   int32
	total      int32
	refused    string
	generation int64
	status     string
	// lost says that nobody hears from it.
	lost bool
}

func members(t *testing.T, list ...member) []rollup.Member {
	t.Helper()
	var total int32
	for _, m := range list {
		total += m.replicas
	}
	var out []rollup.Member
	for _, m := range list {
		one := rollup.Member{Cluster: m.name, Replicas: m.replicas, Total: total, Applied: true, TemplateGeneration: 1, Unreachable: m.lost}
		if m.total != 0 {
			one.Total = m.total
		}
		if m.generation != 0 {
			one.TemplateGeneration = m.generation
		}
		if m.refused != "" {
			one.Applied, one.AppliedReason, one.AppliedMessage, one.TemplateGeneration = false, "Invalid", m.refused, 0
		}
		if m.status != "" {
			one.Status = fields(t, m.status)
		} else {
			one.TemplateGeneration = 0
		}
		out = append(out, one)
	}
	return out
}

// a rollupCase is one template and what its members say.
type rollupCase struct {
	reason   string
	template string
	members  []member
	at       time.Time
	want     string
}

func testStatus(t *testing.T, cases map[string]rollupCase) {
	t.Helper()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			at := now
			if !tc.at.IsZero() {
				at = tc.at
			}
			template := object(t, tc.template)
			got, changed, err := rollup.Status(template, members(t, tc.members...), nil, at)
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(fields(t, tc.want), got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			old, _, _ := unstructured.NestedMap(template.Object, "status")
			if differs := !cmp.Equal(old, got); changed != differs {
				t.Errorf("%s: changed is %t, but the statuses differ is %t", tc.reason, changed, differs)
			}
			// The answer must be a fixed point, or the fleet would write for ever.
			template.Object["status"] = got
			if again, changed, err := rollup.Status(template, members(t, tc.members...), nil, at.Add(time.Second)); err != nil || changed {
				t.Errorf("%s: the second time must change nothing, got %v: %s", tc.reason, err, cmp.Diff(got, again))
			}
		})
	}
}
