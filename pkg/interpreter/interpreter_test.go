// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpreter

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const database = `
apiVersion: example.com/v1
kind: Database
metadata: {name: db, namespace: shop}
spec:
  size: 3
  shards: [{name: a}, {name: b}]
  template:
    spec:
      serviceAccountName: robot
      nodeSelector: {disk: ssd}
      containers:
      - name: db
        resources: {requests: {cpu: 250m, memory: 1Gi}}
        envFrom: [{configMapRef: {name: env}}]
status: {ready: 2, phase: Up}
`

var databases = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Database"}

func object(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	read := &unstructured.Unstructured{}
	if err := read.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return read
}

func customization(name string, rules configv1alpha1.CustomizationRules) *configv1alpha1.ResourceInterpreterCustomization {
	return &configv1alpha1.ResourceInterpreterCustomization{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: configv1alpha1.ResourceInterpreterCustomizationSpec{
			Target:         configv1alpha1.CustomizationTarget{APIVersion: "example.com/v1", Kind: "Database"},
			Customizations: rules,
		},
	}
}

// with answers one rule.
func with(rule Rule, text string) configv1alpha1.CustomizationRules {
	answer := &configv1alpha1.CustomizationRule{Expression: text}
	return map[Rule]configv1alpha1.CustomizationRules{
		Retention:                {Retention: answer},
		ReplicaResource:          {ReplicaResource: answer},
		ComponentResource:        {ComponentResource: answer},
		ReplicaRevision:          {ReplicaRevision: answer},
		StatusReflection:         {StatusReflection: answer},
		StatusAggregation:        {StatusAggregation: answer},
		HealthInterpretation:     {HealthInterpretation: answer},
		DependencyInterpretation: {DependencyInterpretation: answer},
	}[rule]
}

func answering(rule Rule, text string) *Interpreter {
	return New([]*configv1alpha1.ResourceInterpreterCustomization{customization("mine", with(rule, text))}, nil)
}

// outcome is what a question came to.
type outcome struct {
	Answer any
	OK     bool
	Err    string
}

func TestRules(t *testing.T) {
	needs := func() *workv1alpha1.ReplicaRequirements {
		return &workv1alpha1.ReplicaRequirements{
			Namespace: "shop",
			NodeClaim: &workv1alpha1.NodeClaim{NodeSelector: map[string]string{"disk": "ssd"}},
			ResourceRequest: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("1Gi"),
			},
		}
	}
	type replicas struct {
		Replicas     int32
		Requirements *workv1alpha1.ReplicaRequirements
	}
	askers := map[Rule]func(*Interpreter, *unstructured.Unstructured) (any, bool, error){
		ReplicaResource: func(i *Interpreter, o *unstructured.Unstructured) (any, bool, error) {
			count, requirements, ok, err := i.Replicas(o)
			if !ok {
				return nil, ok, err
			}
			return replicas{count, requirements}, ok, err
		},
		ComponentResource: func(i *Interpreter, o *unstructured.Unstructured) (any, bool, error) {
			components, ok, err := i.Components(o)
			if !ok {
				return nil, ok, err
			}
			return components, ok, err
		},
		DependencyInterpretation: func(i *Interpreter, o *unstructured.Unstructured) (any, bool, error) {
			dependencies, ok, err := i.Dependencies(o)
			if !ok {
				return nil, ok, err
			}
			return dependencies, ok, err
		},
		ReplicaRevision: func(i *Interpreter, o *unstructured.Unstructured) (any, bool, error) {
			revised, err := i.Revise(o, 7)
			if err != nil {
				return nil, false, err
			}
			return revised.Object["spec"].(map[string]any)["size"], true, nil
		},
		Retention: func(i *Interpreter, o *unstructured.Unstructured) (any, bool, error) {
			observed := o.DeepCopy()
			observed.Object["spec"] = map[string]any{"size": int64(9), "shards": []any{"x"}}
			retained, err := i.Retain(o, observed)
			if err != nil {
				return nil, false, err
			}
			spec := retained.Object["spec"].(map[string]any)
			return []any{spec["size"], spec["shards"]}, true, nil
		},
		HealthInterpretation: func(i *Interpreter, o *unstructured.Unstructured) (any, bool, error) {
			return i.Healthy(o)
		},
		StatusReflection: func(i *Interpreter, o *unstructured.Unstructured) (any, bool, error) {
			status, ok, err := i.Reflect(o)
			if !ok {
				return nil, ok, err
			}
			return status, ok, err
		},
		StatusAggregation: func(i *Interpreter, o *unstructured.Unstructured) (any, bool, error) {
			status, ok, err := i.Aggregate(o, []MemberStatus{
				{Cluster: "m1", Health: "Healthy", Status: map[string]any{"ready": int64(2)}},
				{Cluster: "m2", Health: "Unknown"},
			})
			if !ok {
				return nil, ok, err
			}
			return status, ok, err
		},
	}
	cases := map[string]struct {
		reason string
		rule   Rule
		text   string
		want   outcome
	}{
		"Replicas": {
			reason: "A number, and what the Pod template asks for.",
			rule:   ReplicaResource, text: `Replicas{replicas: object.spec.size, requirements: podRequirements(object.spec.template)}`,
			want: outcome{OK: true, Answer: replicas{3, needs()}},
		},
		"ReplicasOnly": {
			reason: "What one needs may be unknown; its namespace never is.",
			rule:   ReplicaResource, text: `{"replicas": 2}`,
			want: outcome{OK: true, Answer: replicas{2, &workv1alpha1.ReplicaRequirements{Namespace: "shop"}}},
		},
		"ReplicasByHand": {
			reason: "Requirements may be written by hand, and name another namespace.",
			rule:   ReplicaResource, text: `Replicas{replicas: 1, requirements: Requirements{resourceRequest: {"cpu": 2}, namespace: "other"}}`,
			want: outcome{OK: true, Answer: replicas{1, &workv1alpha1.ReplicaRequirements{
				Namespace: "other", ResourceRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")},
			}}},
		},
		"ReplicasNull": {
			reason: "Null leaves the object to the rule for all kinds.",
			rule:   ReplicaResource, text: `object.spec.size > 100 ? dyn(Replicas{replicas: 1}) : dyn(null)`,
		},
		"ReplicasMissing": {
			reason: "An answer without a number is none.",
			rule:   ReplicaResource, text: `Replicas{}`,
			want: outcome{Err: "read replicas: there are none in the answer"},
		},
		"ReplicasNegative": {
			reason: "Fewer than none are no replicas.",
			rule:   ReplicaResource, text: `Replicas{replicas: object.spec.size - 4}`,
			want: outcome{Err: "read replicas: -1 is no number of replicas"},
		},
		"ReplicasHuge": {
			reason: "A number of replicas has 32 bits.",
			rule:   ReplicaResource, text: `Replicas{replicas: 3000000000}`,
			want: outcome{Err: "3000000000 is no number of replicas"},
		},
		"ReplicasUnknownField": {
			reason: "A typing error is no answer.",
			rule:   ReplicaResource, text: `{"replicas": 1, "requirments": 2}`,
			want: outcome{Err: `unknown field "requirments"`},
		},
		"ReplicasNamed": {
			reason: "Only components have names.",
			rule:   ReplicaResource, text: `{"replicas": dyn(1), "name": dyn("a")}`,
			want: outcome{Err: `unknown field "name"`},
		},
		"ReplicasNoMap": {
			reason: "What is read from the object may be anything.",
			rule:   ReplicaResource, text: `object.spec.size`,
			want: outcome{Err: "it is a int, not a map"},
		},
		"NoField": {
			reason: "The object lacks a field.",
			rule:   ReplicaResource, text: `Replicas{replicas: object.spec.count}`,
			want: outcome{Err: `interpret replicaResource of Database.example.com by customization "mine": no such key: count`},
		},
		"NoPodTemplate": {
			reason: "What is no Pod template cannot be read as one.",
			rule:   ReplicaResource, text: `Replicas{replicas: 1, requirements: podRequirements(object.spec.size)}`,
			want: outcome{Err: "podRequirements: read pod template: it is a int"},
		},
		"BadPodTemplate": {
			reason: "Nor can what has fields of other types.",
			rule:   ReplicaResource, text: `Replicas{replicas: 1, requirements: podRequirements({"spec": {"containers": 1}})}`,
			want: outcome{Err: "podRequirements: read pod template"},
		},
		"Costly": {
			reason: "An evaluation ends.",
			rule:   ReplicaResource, text: `{"replicas": [1,2,3,4,5,6,7,8,9,0].map(a, [1,2,3,4,5,6,7,8,9,0].map(b, [1,2,3,4,5,6,7,8,9,0].map(c, podDependencies(object.spec.template, "x").size()))).size()}`,
			want: outcome{Err: "actual cost limit exceeded"},
		},
		"Components": {
			reason: "Each sort of Pods has a name.",
			rule:   ComponentResource, text: `object.spec.shards.map(s, Component{name: s.name, replicas: 2, requirements: podRequirements(object.spec.template)})`,
			want: outcome{OK: true, Answer: []workv1alpha1.Component{
				{Name: "a", Replicas: 2, ReplicaRequirements: needs()}, {Name: "b", Replicas: 2, ReplicaRequirements: needs()},
			}},
		},
		"ComponentsUnnamed": {
			reason: "Without one it could not be told from others.",
			rule:   ComponentResource, text: `[Component{replicas: 1}]`,
			want: outcome{Err: "item 0: it has no name"},
		},
		"ComponentsTwice": {
			reason: "Nor with the name of another.",
			rule:   ComponentResource, text: `[Component{name: "a", replicas: 1}, Component{name: "a", replicas: 1}]`,
			want: outcome{Err: `item 1: there are two components "a"`},
		},
		"ComponentsNoNumber": {
			reason: "Each says how many.",
			rule:   ComponentResource, text: `[Component{name: "a"}]`,
			want: outcome{Err: "item 0: read replicas"},
		},
		"ComponentsNoMap": {
			reason: "An item is a map.",
			rule:   ComponentResource, text: `[object.spec.size]`,
			want: outcome{Err: "item 0 is no map"},
		},
		"ComponentsNoList": {
			reason: "They are a list.",
			rule:   ComponentResource, text: `object.spec`,
			want: outcome{Err: "not a list"},
		},
		"Dependencies": {
			reason: "By name, by labels, and what the Pod template refers to.",
			rule:   DependencyInterpretation, text: `[Dependency{apiVersion: "v1", kind: "Service", namespace: "shop", labelSelector: {"matchLabels": {"db": object.metadata.name}}}] +
				podDependencies(object.spec.template, object.metadata.namespace)`,
			want: outcome{OK: true, Answer: []Dependency{
				{APIVersion: "v1", Kind: "Service", Namespace: "shop", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"db": "db"}}},
				{APIVersion: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "env"},
				{APIVersion: "v1", Kind: "ServiceAccount", Namespace: "shop", Name: "robot"},
			}},
		},
		"DependenciesNone": {
			reason: "None is an answer.",
			rule:   DependencyInterpretation, text: `[]`,
			want: outcome{OK: true, Answer: []Dependency{}},
		},
		"DependenciesNoName": {
			reason: "A kind alone is no object.",
			rule:   DependencyInterpretation, text: `[{"apiVersion": "v1", "kind": "Secret"}]`,
			want: outcome{Err: "item 0: either name or labelSelector has to be set"},
		},
		"DependenciesNoKind": {
			reason: "A name alone is none either.",
			rule:   DependencyInterpretation, text: `[Dependency{name: "a"}]`,
			want: outcome{Err: "item 0: apiVersion and kind have to be set"},
		},
		"DependenciesBadLabels": {
			reason: "Labels are checked as everywhere.",
			rule:   DependencyInterpretation, text: `[Dependency{apiVersion: "v1", kind: "Secret", labelSelector: {"matchExpressions": [{"key": "a", "operator": "Is"}]}}]`,
			want: outcome{Err: `"Is" is not a valid label selector operator`},
		},
		"Revision": {
			reason: "An apply configuration is merged into the object.",
			rule:   ReplicaRevision, text: `Object{spec: Object.spec{size: replicas}}`,
			want: outcome{OK: true, Answer: int64(7)},
		},
		"RevisionMisnamed": {
			reason: "Names say where they belong.",
			rule:   ReplicaRevision, text: `Object{spec: Object.status{size: replicas}}`,
			want: outcome{Err: `unexpected type name "Object.status"`},
		},
		"Retention": {
			reason: "Fields, and whole lists, keep what they are in the member.",
			rule:   Retention, text: `Object{spec: Object.spec{size: observed.spec.size, shards: observed.spec.shards}}`,
			want: outcome{OK: true, Answer: []any{int64(9), []any{"x"}}},
		},
		"RetentionFails": {
			reason: "What the member lacks cannot be kept.",
			rule:   Retention, text: `Object{spec: Object.spec{size: observed.spec.count}}`,
			want: outcome{Err: "no such key: count"},
		},
		"Healthy":      {reason: "Yes.", rule: HealthInterpretation, text: `object.status.phase == "Up"`, want: outcome{OK: true, Answer: true}},
		"Unhealthy":    {reason: "No.", rule: HealthInterpretation, text: `object.status.ready == object.spec.size`, want: outcome{OK: true, Answer: false}},
		"HealthNoBool": {reason: "Neither.", rule: HealthInterpretation, text: `object.status.phase`, want: outcome{Answer: false, Err: "it is a string, not a bool"}},
		"Reflection": {
			reason: "A part of the status.",
			rule:   StatusReflection, text: `{"phase": object.status.phase}`,
			want: outcome{OK: true, Answer: map[string]any{"phase": "Up"}},
		},
		"Aggregation": {
			reason: "Numbers are added; a member that said nothing has an empty status.",
			rule:   StatusAggregation, text: `Object.status{ready: items.map(i, has(i.status.ready) ? int(i.status.ready) : 0).sum(), healthy: items.filter(i, i.health == "Healthy").map(i, i.cluster), size: object.spec.size}`,
			want: outcome{OK: true, Answer: map[string]any{"ready": int64(2), "healthy": []any{"m1"}, "size": int64(3)}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			given := object(t, database)
			before := given.DeepCopy()
			var got outcome
			var err error
			got.Answer, got.OK, err = askers[tc.rule](answering(tc.rule, tc.text), given)
			if err != nil {
				got.Err = err.Error()
			}
			if tc.want.Err != "" && strings.Contains(got.Err, tc.want.Err) {
				got.Err = tc.want.Err
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\n-want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(before.Object, given.Object); diff != "" {
				t.Errorf("the object was changed: -before, +after:\n%s", diff)
			}
		})
	}
}

func TestUnknownKinds(t *testing.T) {
	given := object(t, database)
	others := object(t, strings.Replace(database, "example.com/v1", "example.com/v2", 1))
	for name, i := range map[string]*Interpreter{"None": nil, "Empty": New(nil, nil), "OtherVersion": answering(ReplicaResource, `{"replicas": 1}`)} {
		subject := given
		if name == "OtherVersion" {
			subject = others
		}
		if _, _, ok, err := i.Replicas(subject); ok || err != nil {
			t.Errorf("%s: Replicas(...): %v, %v", name, ok, err)
		}
		if revised, err := i.Revise(subject, 3); revised != subject || err != nil {
			t.Errorf("%s: Revise(...): %v, %v", name, revised, err)
		}
		if retained, err := i.Retain(subject, given); retained != subject || err != nil {
			t.Errorf("%s: Retain(...): %v, %v", name, retained, err)
		}
	}
}

func TestPrecedence(t *testing.T) {
	rules := func(health, replicas string) configv1alpha1.CustomizationRules {
		rules := with(HealthInterpretation, health)
		if replicas != "" {
			rules.ReplicaResource = &configv1alpha1.CustomizationRule{Expression: replicas}
		}
		return rules
	}
	i := New([]*configv1alpha1.ResourceInterpreterCustomization{
		customization("b", rules("false", `{"replicas": 2}`)), customization("a", rules("true", "")),
	}, []*configv1alpha1.ResourceInterpreterCustomization{
		customization("0", configv1alpha1.CustomizationRules{
			ReplicaResource:   &configv1alpha1.CustomizationRule{Expression: `{"replicas": 1}`},
			ComponentResource: &configv1alpha1.CustomizationRule{Expression: `[]`},
		}),
	})
	want := map[Rule][2]string{
		HealthInterpretation: {"true", "a"},            // the first by name
		ReplicaResource:      {`{"replicas": 2}`, "b"}, // which leaves others to the next
		ComponentResource:    {`[]`, "0"},              // and the built-in one
		Retention:            {"", ""},
	}
	for rule, expected := range want {
		text, from := i.Expression(databases, rule)
		if diff := cmp.Diff(expected, [2]string{text, from}); diff != "" {
			t.Errorf("Expression(%s): -want, +got:\n%s", rule, diff)
		}
	}
	if !i.Answers(databases, Retention, ReplicaResource) || i.Answers(databases, Retention) {
		t.Error("Answers(...): it answers replicaResource and not retention")
	}
	other := answering(HealthInterpretation, "true")
	if !i.Same(other, databases, HealthInterpretation) || i.Same(other, databases, HealthInterpretation, ReplicaResource) || i.Same(nil, databases, HealthInterpretation) {
		t.Error("Same(...): both answer healthInterpretation alike, and nothing else")
	}
}

func TestOneBadExpressionHarmsNoOther(t *testing.T) {
	rules := with(HealthInterpretation, "object.")
	rules.ReplicaResource = &configv1alpha1.CustomizationRule{Expression: `{"replicas": 1}`}
	i := New([]*configv1alpha1.ResourceInterpreterCustomization{customization("mine", rules)}, nil)
	if _, _, err := i.Healthy(object(t, database)); err == nil || !strings.Contains(err.Error(), "Syntax error") {
		t.Errorf("Healthy(...): want a syntax error, got %v", err)
	}
	if replicas, _, ok, err := i.Replicas(object(t, database)); replicas != 1 || !ok || err != nil {
		t.Errorf("Replicas(...): %d, %v, %v", replicas, ok, err)
	}
}

func TestRecordedRevision(t *testing.T) {
	revised, err := Revise(`Object{spec: Object.spec{size: replicas}}`, object(t, database), 5)
	if err != nil || revised.Object["spec"].(map[string]any)["size"] != int64(5) {
		t.Errorf("Revise(...): %v, %v", revised, err)
	}
	for _, text := range []string{"object.", `Object{spec: Object.spec{size: object.spec.count}}`} {
		_, err := Revise(text, object(t, database), 5)
		if failed, ok := errors.AsType[*Error](err); !ok || failed.Rule != ReplicaRevision || failed.Unwrap() == nil ||
			!strings.HasPrefix(err.Error(), "interpret replicaRevision of Database.example.com: ") {
			t.Errorf("Revise(%q): %v", text, err)
		}
	}
}

func TestCheck(t *testing.T) {
	cases := map[string]struct {
		reason string
		rule   Rule
		text   string
		want   string
	}{
		"Variable":       {reason: "Each rule has variables of its own.", rule: HealthInterpretation, text: `observed == object`, want: "undeclared reference to 'observed'"},
		"Observed":       {reason: "Retention sees both.", rule: Retention, text: `Object{spec: Object.spec{x: observed.spec.x}}`},
		"Replicas":       {reason: "Replicas are a number.", rule: ReplicaRevision, text: `Object{spec: Object.spec{x: replicas + "1"}}`, want: "found no matching overload"},
		"Items":          {reason: "Items have three fields.", rule: StatusAggregation, text: `{"x": items.map(i, i.name)}`, want: "undefined field 'name'"},
		"Map":            {reason: "Replicas come in a map.", rule: ReplicaResource, text: `3`, want: "must return Replicas, not int"},
		"List":           {reason: "Components are a list.", rule: ComponentResource, text: `{"a": 1}`, want: "must return list(Component), not map(string, int)"},
		"Field":          {reason: "Replicas have two fields.", rule: ReplicaResource, text: `Replicas{count: 3}`, want: "undefined field 'count'"},
		"FieldType":      {reason: "Each has a type.", rule: ReplicaResource, text: `Replicas{replicas: "3"}`, want: "expected type of field 'replicas' is 'int' but provided type is 'string'"},
		"Other":          {reason: "A component is no dependency.", rule: DependencyInterpretation, text: `[Component{name: "a"}]`, want: "must return list(Dependency), not list(Component)"},
		"Struct":         {reason: "Nor are requirements replicas.", rule: ReplicaResource, text: `podRequirements(object.spec.template)`, want: "must return Replicas, not Requirements"},
		"Empty":          {reason: "A list of nothing fits.", rule: DependencyInterpretation, text: `[]`},
		"Bool":           {reason: "Health is yes or no.", rule: HealthInterpretation, text: `"yes"`, want: "must return bool, not string"},
		"Configuration":  {reason: "A revision is an apply configuration.", rule: ReplicaRevision, text: `{"spec": {}}`, want: "must return Object, not map"},
		"Dyn":            {reason: "What comes from the object may be right.", rule: HealthInterpretation, text: `object.status.ready`},
		"Function":       {reason: "Functions have types.", rule: DependencyInterpretation, text: `podDependencies(object.spec.template, 1)`, want: "found no matching overload"},
		"Syntax":         {reason: "It is no CEL.", rule: HealthInterpretation, text: `object.`, want: "Syntax error"},
		"NoRule":         {reason: "There is no such question.", rule: "colour", text: `true`, want: `there is no such rule`},
		"AnotherDialect": {reason: "Karmada's scripts are refused as a whole.", rule: HealthInterpretation, text: `function InterpretHealth(o) return true end`, want: "Syntax error"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := Check(tc.rule, tc.text)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("\n%s\nCheck(...): want %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

// FuzzRules looks for expressions that panic or have two answers.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{
		`Replicas{replicas: object.spec.size, requirements: podRequirements(object.spec.template)}`,
		`podDependencies(object.spec.template, "a")`, `[Component{name: "a", replicas: 1}]`, `Object{spec: Object.spec{size: 1}}`, `null`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		subject := object(t, database)
		for _, rule := range []Rule{ReplicaResource, ComponentResource, DependencyInterpretation, StatusReflection} {
			if Check(rule, text) != nil {
				continue
			}
			i := answering(rule, text)
			first, second := everything(i, subject), everything(i, subject)
			if diff := cmp.Diff(first, second); diff != "" {
				t.Errorf("%q: -first, +second:\n%s", text, diff)
			}
		}
	})
}

// everything is all that can be asked.
func everything(i *Interpreter, subject *unstructured.Unstructured) []any {
	count, requirements, known, err := i.Replicas(subject)
	components, _, noComponents := i.Components(subject)
	dependencies, _, noDependencies := i.Dependencies(subject)
	status, _, noStatus := i.Reflect(subject)
	return []any{count, requirements, known, err == nil, components, noComponents == nil, dependencies, noDependencies == nil, status, noStatus == nil}
}

// BenchmarkReplicas reads the replicas of an object, Pod template included.
func BenchmarkReplicas(b *testing.B) {
	i := answering(ReplicaResource, `Replicas{replicas: object.spec.size, requirements: podRequirements(object.spec.template)}`)
	subject := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(database), &subject.Object); err != nil {
		b.Fatal(err)
	}
	subject.Object["spec"].(map[string]any)["size"] = int64(3)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok, err := i.Replicas(subject); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkNoRule asks about a kind that has no answer.
func BenchmarkNoRule(b *testing.B) {
	i := answering(ReplicaResource, `Replicas{replicas: 1}`)
	subject := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := i.Healthy(subject); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
