// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"context"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// member is one whose region was said and whose zones were observed.
func member() *clusterv1alpha1.Cluster {
	return &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "m1", Labels: map[string]string{"env": "prod"}},
		Spec: clusterv1alpha1.ClusterSpec{
			SyncMode: clusterv1alpha1.Pull, Region: "eu",
			Taints: []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}},
		},
		Status: clusterv1alpha1.ClusterStatus{Region: "us", Zones: []string{"eu-1", "eu-2"}, KubernetesVersion: "v1.36.3"},
	}
}

func TestSelector(t *testing.T) {
	cases := map[string]struct {
		reason     string
		expression string
		want       bool
		wantErr    string
	}{
		"Name":       {reason: "By name.", expression: `cluster.metadata.name.startsWith("m")`, want: true},
		"Label":      {reason: "By label.", expression: `cluster.metadata.labels["env"] in ["prod", "stage"]`, want: true},
		"NoLabel":    {reason: "A label that is not there fails.", expression: `cluster.metadata.labels["tier"] == "1"`, wantErr: "no such key: tier"},
		"Optional":   {reason: "Unless it is asked for so.", expression: `cluster.metadata.labels[?"tier"].orValue("2") == "2"`, want: true},
		"HasLabel":   {reason: "Or asked about.", expression: `"tier" in cluster.metadata.labels`},
		"Region":     {reason: "What was said.", expression: `cluster.spec.region == "eu"`, want: true},
		"Zones":      {reason: "What was observed.", expression: `cluster.spec.zones.all(z, z.startsWith("eu-"))`, want: true},
		"Provider":   {reason: "What nobody knows is empty.", expression: `cluster.spec.provider == ""`, want: true},
		"Annotation": {reason: "Annotations that are not there are empty.", expression: `size(cluster.metadata.annotations) == 0`, want: true},
		"Taints":     {reason: "By taint.", expression: `cluster.spec.taints.exists(t, t.key == "gpu" && t.effect == "NoSchedule")`, want: true},
		"Version":    {reason: "By version.", expression: `cluster.status.kubernetesVersion.startsWith("v1.36.")`, want: true},
		"Mode":       {reason: "By mode.", expression: `cluster.spec.syncMode == "Push"`},
		"Costly": {
			reason: "An evaluation may not take long.", wantErr: "operation cancelled: actual cost limit exceeded",
			expression: `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, a+b+c+d > 0))))`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			selector, err := CompileSelector(tc.expression)
			if err != nil {
				t.Fatal(err)
			}
			got, err := selector.Selects(member())
			if got != tc.want || (err != nil) != (tc.wantErr != "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
				t.Errorf("\n%s\nSelects(...): want %v, %q, got %v, %v", tc.reason, tc.want, tc.wantErr, got, err)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	selector := func(expression string) error { _, err := CompileSelector(expression); return err }
	override := func(expression string) error { _, err := CompileOverride(expression); return err }
	cases := map[string]struct {
		reason     string
		compile    func(string) error
		expression string
		want       string
	}{
		"Syntax":        {reason: "It is no CEL.", compile: selector, expression: `cluster.`, want: "line 1, column 9: Syntax error"},
		"Field":         {reason: "There is no such field.", compile: selector, expression: `cluster.spec.regoin == "eu"`, want: "undefined field 'regoin'"},
		"Type":          {reason: "A string is no number.", compile: selector, expression: `cluster.spec.region > 3`, want: "found no matching overload"},
		"Result":        {reason: "An affinity says yes or no.", compile: selector, expression: `cluster.spec.region`, want: "must return bool, not string"},
		"Variable":      {reason: "An affinity knows no object.", compile: selector, expression: `object == cluster`, want: "undeclared reference to 'object'"},
		"Configuration": {reason: "An override returns an apply configuration.", compile: override, expression: `{"spec": 1}`, want: "must return Object, not map"},
		"Facts":         {reason: "An override sees what the binding holds.", compile: override, expression: `Object{spec: Object.spec{x: cluster.spec.syncMode}}`, want: "undefined field 'syncMode'"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time from memory
				if err := tc.compile(tc.expression); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("\n%s\nwant error %q, got %v", tc.reason, tc.want, err)
				}
			}
		})
	}
}

func TestOverride(t *testing.T) {
	object := func() map[string]any {
		return map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "spec": map[string]any{"replicas": int64(3)}}
	}
	facts := FactsOf(member())
	cases := map[string]struct {
		reason     string
		expression string
		want       map[string]any
		wantErr    string
	}{
		"Facts": {
			reason:     "Values come from the member.",
			expression: `Object{metadata: Object.metadata{labels: {"region": cluster.spec.region, "env": cluster.metadata.labels["env"]}}}`,
			want:       map[string]any{"metadata": map[string]any{"labels": map[string]any{"region": "eu", "env": "prod"}}},
		},
		"Object": {
			reason:     "And from the object.",
			expression: `Object{spec: Object.spec{replicas: object.spec.replicas * 2}}`,
			want:       map[string]any{"spec": map[string]any{"replicas": int64(6)}},
		},
		"Nothing": {
			reason:     "Nothing is a change too.",
			expression: `cluster.metadata.name == "m2" ? Object{spec: Object.spec{paused: true}} : Object{}`,
			want:       map[string]any{},
		},
		"Values": {
			reason: "What is no JSON becomes it, as far as it can.",
			expression: `Object{spec: Object.spec{a: [{"b": [dyn(1u), dyn(2.5), dyn(null)]}], c: duration("90s"), d: timestamp("2024-01-02T03:04:05Z"), e: b"x",
				f: quantity("1Gi"), g: cluster.spec.zones, h: cluster.metadata.labels, i: Object.spec.i{j: object.spec}}}`,
			want: map[string]any{"spec": map[string]any{
				"a": []any{map[string]any{"b": []any{int64(1), 2.5, nil}}}, "c": "1m30s", "d": "2024-01-02T03:04:05Z", "e": "eA==",
				"f": "1Gi", "g": []any{"eu-1", "eu-2"}, "h": map[string]any{"env": "prod"}, "i": map[string]any{"j": map[string]any{"replicas": int64(3)}},
			}},
		},
		"NumberKey":  {reason: "A key is a string.", expression: `Object{spec: Object.spec{x: {1: 2}}}`, wantErr: "is no"},
		"HugeNumber": {reason: "A number fits 64 bits.", expression: `Object{spec: Object.spec{x: 18446744073709551615u}}`, wantErr: "too large"},
		"NoNumber":   {reason: "A number is one.", expression: `Object{spec: Object.spec{x: 0.0 / 0.0}}`, wantErr: "no number"},
		"WrongName":  {reason: "Names say where they belong.", expression: `Object{spec: Object.status{x: 1}}`, wantErr: "unexpected type name \"Object.status\""},
		"NoField":    {reason: "The object lacks a field.", expression: `Object{spec: Object.spec{x: object.spec.nothing}}`, wantErr: "no such key: nothing"},
		"NoLabel":    {reason: "The member lacks a label.", expression: `Object{spec: Object.spec{x: cluster.metadata.labels["tier"]}}`, wantErr: "no such key: tier"},
		"Arithmetic": {reason: "Numbers have an end.", expression: `Object{spec: Object.spec{x: object.spec.replicas / 0}}`, wantErr: "division by zero"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			override, err := CompileOverride(tc.expression)
			if err != nil {
				t.Fatal(err)
			}
			before := object()
			got, err := override.Evaluate(before, &facts)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("\n%s\nEvaluate(...): want error %q, got %v", tc.reason, tc.wantErr, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tc.want["apiVersion"], tc.want["kind"] = "apps/v1", "Deployment"
			if diff := cmp.Diff(tc.want, got.Object); diff != "" {
				t.Errorf("\n%s\nEvaluate(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(object(), before); diff != "" {
				t.Errorf("the object was changed: -before, +after:\n%s", diff)
			}
		})
	}
}

func TestKeepsOnlySoMany(t *testing.T) {
	c := NewCompiler(newSelectorEnv, selectorCost, selectors.result)
	c.kept = map[string]compiled{}
	for i := range maxKept {
		c.kept[strings.Repeat(" ", i)] = compiled{}
	}
	if _, err := c.Compile("true"); err != nil || len(c.kept) != 1 {
		t.Errorf("compile(...): %v, %d kept", err, len(c.kept))
	}
}

// FuzzOverride looks for expressions that panic, or give two results.
func FuzzOverride(f *testing.F) {
	f.Add(`Object{spec: Object.spec{replicas: object.spec.replicas * 2}}`)
	f.Add(`cluster.metadata.name == "m2" ? Object{spec: Object.spec{paused: true}} : Object{}`)
	f.Add(`Object{spec: Object.spec{x: [1, 2.5, "a", null, {"b": b"c"}, duration("1h"), timestamp("2024-01-01T00:00:00Z")]}}`)
	f.Add(`Object{spec: Object.spec{x: Object.spec.x{y: quantity("1Gi")}}}`)
	facts := FactsOf(member())
	f.Fuzz(func(t *testing.T, expression string) {
		override, err := CompileOverride(expression)
		if err != nil {
			return
		}
		object := map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "spec": map[string]any{"replicas": int64(3)}}
		first, err := override.Evaluate(object, &facts)
		second, again := override.Evaluate(object, &facts)
		if (err == nil) != (again == nil) || err == nil && !cmp.Equal(first.Object, second.Object) {
			t.Errorf("%q: %v, %v, then %v, %v", expression, first, err, second, again)
		}
	})
}

// TestVerdicts: an expression is evaluated once for a member that stays the same.
func TestVerdicts(t *testing.T) {
	selector, err := CompileSelector(`cluster.metadata.labels["env"] == "prod"`)
	if err != nil {
		t.Fatal(err)
	}
	prod := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"env": "prod"}}}
	plain := &clusterv1alpha1.Cluster{}
	var nothing *Verdicts
	verdicts := &Verdicts{}
	cases := []struct {
		reason   string
		verdicts *Verdicts
		cluster  *clusterv1alpha1.Cluster
		want     bool
	}{
		{reason: "Without a memory it is evaluated each time.", verdicts: nothing, cluster: prod, want: true},
		{reason: "A member that lacks the label is not selected.", verdicts: nothing, cluster: plain},
		{reason: "What was not asked yet is evaluated.", verdicts: verdicts, cluster: prod, want: true},
		{reason: "What was is not: the memory is about a member that does not change.", verdicts: verdicts, cluster: plain, want: true},
		{reason: "No verdict is as good as a refusal.", verdicts: &Verdicts{}, cluster: plain},
	}
	for _, tc := range cases {
		if got := tc.verdicts.Selects(selector, tc.cluster); got != tc.want {
			t.Errorf("\n%s\nSelects(...): want %v, got %v", tc.reason, tc.want, got)
		}
	}
	for i := range maxVerdicts {
		verdicts.known[numbered(i)] = true
	}
	other, err := CompileSelector(`cluster.metadata.name == "m1"`)
	if err != nil {
		t.Fatal(err)
	}
	if verdicts.Selects(other, prod); len(verdicts.known) != 1 {
		t.Errorf("too many verdicts are forgotten: got %d", len(verdicts.known))
	}
}

// numbered is a program that is not evaluated.
type numbered int

func (numbered) Eval(any) (ref.Val, *cel.EvalDetails, error) { return nil, nil, nil }

func (numbered) ContextEval(context.Context, any) (ref.Val, *cel.EvalDetails, error) {
	return nil, nil, nil
}
