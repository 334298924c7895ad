// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/apis/config"
	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/apis/config/validation"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/interpreter/builtin"
)

var update = flag.Bool("update", false, "write the golden files anew")

func customizations(t *testing.T) []*configv1alpha1.ResourceInterpreterCustomization {
	t.Helper()
	all, err := builtin.Customizations()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAccepted has every built-in customization pass what those of users pass.
func TestAccepted(t *testing.T) {
	names, targets := sets.New[string](), sets.New[configv1alpha1.CustomizationTarget]()
	for _, customization := range customizations(t) {
		internal := &config.ResourceInterpreterCustomization{}
		if err := configv1alpha1.Convert_v1alpha1_ResourceInterpreterCustomization_To_config_ResourceInterpreterCustomization(customization, internal, nil); err != nil {
			t.Fatal(err)
		}
		for _, err := range validation.ValidateResourceInterpreterCustomization(internal) {
			t.Errorf("%s: %v", customization.Name, err)
		}
		for name, rule := range validation.Rules(&internal.Spec.Customizations) {
			if err := interpreter.Check(interpreter.Rule(name), rule.Expression); err != nil {
				t.Errorf("%s: %s: %v", customization.Name, name, err)
			}
		}
		if names.Has(customization.Name) || targets.Has(customization.Spec.Target) {
			t.Errorf("%s: its name, or its target, is that of another", customization.Name)
		}
		names.Insert(customization.Name)
		targets.Insert(customization.Spec.Target)
	}
	if len(targets) == 0 {
		t.Error("there are no built-in customizations")
	}
}

// given is an object with a status, and what another member reports.
type given struct {
	object *unstructured.Unstructured
	other  interpreter.MemberStatus
}

func read(t *testing.T, path string) given {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, second, two := bytes.Cut(content, []byte("\n---\n"))
	object := &unstructured.Unstructured{}
	raw, err := yaml.YAMLToJSON(first)
	if err == nil {
		err = object.UnmarshalJSON(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	status, _ := object.Object["status"].(map[string]any)
	other := interpreter.MemberStatus{Cluster: "m2", Health: "Unhealthy", Status: status}
	if two {
		// Numbers of JSON are integers where they can be.
		wrapped := &unstructured.Unstructured{}
		if raw, err = yaml.YAMLToJSON(append([]byte("apiVersion: v1\nkind: Status\n"), second...)); err == nil {
			err = wrapped.UnmarshalJSON(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		other.Status, _ = wrapped.Object["status"].(map[string]any)
	}
	return given{object: object, other: other}
}

// TestGolden asks all rules about an object of each kind, whose second document is the
// status in another, unhealthy member.
func TestGolden(t *testing.T) {
	i := interpreter.New(nil, customizations(t))
	untested := sets.New(i.Kinds()...)
	paths, err := filepath.Glob("testdata/objects/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			subject := read(t, path)
			untested.Delete(subject.object.GroupVersionKind())
			template := subject.object.DeepCopy()
			delete(template.Object, "status")
			status, _ := subject.object.Object["status"].(map[string]any)
			situation := interpreter.Situation{
				Object: template, Observed: subject.object, Replicas: 7,
				Members: []interpreter.MemberStatus{{Cluster: "m1", Health: "Healthy", Status: status}, subject.other},
			}
			reports := i.Reports(situation)
			for _, report := range reports {
				if report.Error != "" {
					t.Errorf("%s: %s", report.Rule, report.Error)
				}
			}
			got, err := yaml.Marshal(reports)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join("testdata", "golden", name+".yaml"), got)
		})
	}
	for kind := range untested {
		t.Errorf("%s has no object in testdata/objects", kind)
	}
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file (run with -update to make it): %v", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("answers differ from %s (-want +got):\n%s", path, diff)
	}
}

// TestBareObjects asks all rules about objects that have a name and an empty spec, as
// anybody may create where a definition has no schema: an expression may fail on them,
// and none may take an object for another one than it is.
func TestBareObjects(t *testing.T) {
	i := interpreter.New(nil, customizations(t))
	for _, kind := range i.Kinds() {
		object := &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": "bare", "namespace": "shop"}, "spec": map[string]any{},
		}}
		object.SetGroupVersionKind(kind)
		if healthy, ok, err := i.Healthy(object); err != nil || ok && !healthy {
			t.Errorf("%s: what has no status is not unhealthy: %v, %v", kind, healthy, err)
		}
		if _, _, err := i.Dependencies(object); err != nil && !mayLack(kind) {
			t.Errorf("%s: dependencies: %v", kind, err)
		}
	}
}

// mayLack says which kinds cannot be without the fields their dependencies are in.
func mayLack(kind schema.GroupVersionKind) bool {
	return required.Has(kind.Kind)
}

var required = sets.New("CronWorkflow")

// TestAutoscaledWorkers has the autoscaler of KubeRay change the workers of one group.
func TestAutoscaledWorkers(t *testing.T) {
	i := interpreter.New(nil, customizations(t))
	desired := read(t, "testdata/objects/ray-cluster.yaml").object
	groups := func(object *unstructured.Unstructured) []any {
		list, _, _ := unstructured.NestedSlice(object.Object, "spec", "workerGroupSpecs")
		return list
	}
	observed := desired.DeepCopy()
	scaled := groups(observed)
	scaled[0].(map[string]any)["replicas"] = int64(5)
	scaled[0].(map[string]any)["maxReplicas"] = int64(99)
	_ = unstructured.SetNestedSlice(observed.Object, scaled, "spec", "workerGroupSpecs")

	want := groups(desired)
	want[0].(map[string]any)["replicas"] = int64(5)
	retained, err := i.Retain(desired, observed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, groups(retained)); diff != "" {
		t.Errorf("replicas, and nothing else, stay as they are: -want, +got:\n%s", diff)
	}
	unstructured.RemoveNestedField(desired.Object, "spec", "enableInTreeAutoscaling")
	if retained, err = i.Retain(desired, observed); err != nil || !cmp.Equal(groups(desired), groups(retained)) {
		t.Errorf("without the autoscaler nothing does: %v", err)
	}
}
