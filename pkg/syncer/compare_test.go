// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/member"
)

// appsSchema is the schema of apps/v1 as a member of the release serves it.
var appsSchema = sync.OnceValues(func() (*member.Schema, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		return nil, err
	}
	document, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "api/openapi-spec/v3/apis__apps__v1_openapi.json"))
	if err != nil {
		return nil, err
	}
	return member.ParseSchema(document)
})

func schemaOfApps(tb testing.TB) *member.Schema {
	tb.Helper()
	schema, err := appsSchema()
	if err != nil {
		tb.Fatalf("read the schema of apps/v1: %v", err)
	}
	return schema
}

func manifest(tb testing.TB, text string) *unstructured.Unstructured {
	tb.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		tb.Fatalf("decode manifest: %v", err)
	}
	return object
}

// webDeployment is what the fleet wants.
const webDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  labels: {app: web, fleet.dev/managed-by: fleet-1}
  annotations: {fleet.dev/template-uid: uid-1}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, fleet.dev/template: abc}}
    spec:
      containers:
      - name: web
        image: nginx
        env: [{name: A, value: "1"}]
        ports: [{containerPort: 80, protocol: TCP}]
      volumes: [{name: data, emptyDir: {}}]
`

// asApplied returns the object as a member has it after desired was applied, with
// the edits made by others since.
func asApplied(tb testing.TB, desired *unstructured.Unstructured, edits ...func(*unstructured.Unstructured)) *observed {
	tb.Helper()
	value, err := schemaOfApps(tb).Desired(desired)
	if err != nil {
		tb.Fatalf("Desired(): %v", err)
	}
	set, err := value.ToFieldSet()
	if err != nil {
		tb.Fatalf("ToFieldSet(): %v", err)
	}
	live := desired.DeepCopy()
	live.SetUID("live-uid")
	live.SetResourceVersion("10")
	for _, edit := range edits {
		edit(live)
	}
	own(tb, live, set.Difference(neverOwned))
	o, err := observe(live, nil)
	if err != nil {
		tb.Fatalf("observe(): %v", err)
	}
	return o
}

func own(tb testing.TB, live *unstructured.Unstructured, set *fieldpath.Set) {
	tb.Helper()
	raw, err := set.ToJSON()
	if err != nil {
		tb.Fatalf("ToJSON(): %v", err)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(raw, &fields); err != nil {
		tb.Fatalf("decode fields: %v", err)
	}
	put(tb, live, []any{map[string]any{
		"manager": "fleet", "operation": "Apply", "apiVersion": live.GetAPIVersion(), "fieldsType": "FieldsV1", "fieldsV1": fields,
	}}, "metadata", "managedFields")
}

func put(tb testing.TB, object *unstructured.Unstructured, value any, fields ...string) {
	tb.Helper()
	if err := unstructured.SetNestedField(object.Object, value, fields...); err != nil {
		tb.Fatalf("set %s: %v", strings.Join(fields, "."), err)
	}
}

// container changes the first container.
func container(change func(map[string]any)) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		change(containers[0].(map[string]any))
		_ = unstructured.SetNestedSlice(object.Object, containers, "spec", "template", "spec", "containers")
	}
}

func TestCompare(t *testing.T) {
	set := func(value any, fields ...string) func(*unstructured.Unstructured) {
		return func(object *unstructured.Unstructured) { put(t, object, value, fields...) }
	}
	type result struct {
		Changed, Dropped []string
		Unowned, Empty   bool
	}
	cases := map[string]struct {
		reason string
		// edits are made in the member after desired was applied.
		edits []func(*unstructured.Unstructured)
		// desired changes what is wanted since.
		desired func(*unstructured.Unstructured)
		want    result
	}{
		"Same": {
			reason: "what was applied and not touched needs no call",
			want:   result{Empty: true},
		},
		"Defaults": {
			reason: "defaults of the member, of a newer release too, are nobody's business",
			edits: []func(*unstructured.Unstructured){
				set(int64(600), "spec", "progressDeadlineSeconds"),
				set("ofANewerRelease", "spec", "template", "spec", "dnsPolicy"),
				container(func(c map[string]any) { c["terminationMessagePath"] = "/dev/termination-log" }),
			},
			want: result{Empty: true},
		},
		"Others": {
			reason: "labels, annotations, containers and variables that others add stay",
			edits: []func(*unstructured.Unstructured){
				set("blue", "metadata", "labels", "team"),
				set("1", "metadata", "annotations", "deployment.kubernetes.io/revision"),
				container(func(c map[string]any) {
					c["env"] = append(c["env"].([]any), map[string]any{"name": "INJECTED", "value": "x"})
				}),
				func(o *unstructured.Unstructured) {
					containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
					containers = append([]any{map[string]any{"name": "sidecar", "image": "proxy"}}, containers...)
					_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
				},
			},
			want: result{Empty: true},
		},
		"Status": {
			reason: "status is the member's",
			edits:  []func(*unstructured.Unstructured){set(int64(3), "status", "readyReplicas")},
			want:   result{Empty: true},
		},
		"Drift": {
			reason: "a field of ours that somebody changed is to be put right",
			edits:  []func(*unstructured.Unstructured){set(int64(7), "spec", "replicas")},
			want:   result{Changed: []string{".spec.replicas"}},
		},
		"DriftInList": {
			reason: "items of lists are told apart by their key",
			edits:  []func(*unstructured.Unstructured){container(func(c map[string]any) { c["image"] = "evil" })},
			want:   result{Changed: []string{`.spec.template.spec.containers[name="web"].image`}},
		},
		"TakenAway": {
			reason: "a field of ours that somebody removed comes back",
			edits: []func(*unstructured.Unstructured){func(o *unstructured.Unstructured) {
				unstructured.RemoveNestedField(o.Object, "metadata", "labels", "app")
			}},
			want: result{Changed: []string{".metadata.labels.app"}},
		},
		"NewWish": {
			reason:  "what is wanted now is applied",
			desired: set(int64(5), "spec", "replicas"),
			want:    result{Changed: []string{".spec.replicas"}},
		},
		"DroppedWish": {
			reason: "what we own and no longer want has to go, though every value is as wanted",
			desired: func(o *unstructured.Unstructured) {
				unstructured.RemoveNestedField(o.Object, "metadata", "labels", "app")
			},
			want: result{Dropped: []string{".metadata.labels.app"}},
		},
		"DroppedItem": {
			reason:  "an item of a list we no longer want has to go",
			desired: container(func(c map[string]any) { c["env"] = []any{} }),
			want: result{Dropped: []string{
				`.spec.template.spec.containers[name="web"].env[name="A"]`,
				`.spec.template.spec.containers[name="web"].env[name="A"].name`,
				`.spec.template.spec.containers[name="web"].env[name="A"].value`,
			}, Changed: nil},
		},
		"NotOwned": {
			reason: "without ownership, fields could not be dropped later",
			edits:  nil,
			desired: func(o *unstructured.Unstructured) {
				o.SetAPIVersion("apps/v1")
			},
			want: result{Unowned: true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			live := asApplied(t, manifest(t, webDeployment), tc.edits...)
			if name == "NotOwned" {
				live.owned = nil
			}
			desired := manifest(t, webDeployment)
			if tc.desired != nil {
				tc.desired(desired)
			}
			diff, err := compare(schemaOfApps(t), desired, live)
			if err != nil {
				t.Fatalf("%s: compare(): %v", tc.reason, err)
			}
			got := result{Changed: sortedPaths(diff.changed), Dropped: sortedPaths(diff.dropped), Unowned: diff.unowned, Empty: diff.empty()}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: compare(): -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCompareResidue(t *testing.T) {
	desired := manifest(t, webDeployment)
	set := func(n int64) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) { put(t, o, n, "spec", "replicas") }
	}
	residue := func(edits ...func(*unstructured.Unstructured)) uint64 {
		diff, err := compare(schemaOfApps(t), desired, asApplied(t, desired, edits...))
		if err != nil {
			t.Fatal(err)
		}
		return diff.residue
	}
	four, fourAgain, five, none := residue(set(4)), residue(set(4)), residue(set(5)), residue()
	if four != fourAgain {
		t.Error("the same difference has another residue: it would be applied again and again")
	}
	if four == five {
		t.Error("another value in the member has the same residue: drift would go unnoticed")
	}
	if none != 0 {
		t.Error("no difference has a residue")
	}
}

func TestCompareFilled(t *testing.T) {
	tolerations := func(items ...any) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) { put(t, o, items, "spec", "template", "spec", "tolerations") }
	}
	gpu := map[string]any{"key": "gpu"}
	gpuFilled := map[string]any{"key": "gpu", "operator": "Equal"}
	cases := map[string]struct {
		reason  string
		desired func(*unstructured.Unstructured)
		edit    func(*unstructured.Unstructured)
		want    bool
	}{
		"Filled":    {"the member put a default into a list that is one value", tolerations(gpu), tolerations(gpuFilled), true},
		"Other":     {"another value is no default", tolerations(gpu), tolerations(map[string]any{"key": "cpu", "operator": "Equal"}), false},
		"Longer":    {"another item is no default", tolerations(gpu), tolerations(gpu, gpuFilled), false},
		"TakenAway": {"what is missing was not filled in", tolerations(gpuFilled), tolerations(gpu), false},
		"Scalar":    {"a number is not filled in", func(*unstructured.Unstructured) {}, func(o *unstructured.Unstructured) { put(t, o, int64(9), "spec", "replicas") }, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			desired := manifest(t, webDeployment)
			tc.desired(desired)
			diff, err := compare(schemaOfApps(t), desired, asApplied(t, desired, tc.edit))
			if err != nil || diff.empty() {
				t.Fatalf("%s: compare(): %v, want a difference (%v)", tc.reason, diff.paths(), err)
			}
			if diff.filled != tc.want {
				t.Errorf("%s: filled is %t, want %t (%v)", tc.reason, diff.filled, tc.want, diff.paths())
			}
		})
	}
}

func TestForeign(t *testing.T) {
	desired := manifest(t, webDeployment)
	bare := manifest(t, webDeployment)
	for _, mark := range [][]string{
		{"metadata", "labels", "fleet.dev/managed-by"},
		{"metadata", "annotations"},
		{"spec", "template", "metadata", "labels", "fleet.dev/template"},
	} {
		unstructured.RemoveNestedField(bare.Object, mark...)
	}
	cases := map[string]struct {
		reason string
		change func(*unstructured.Unstructured)
		want   []string
	}{
		"OnlyMarks": {
			reason: "what differs only by the fleet's marks may be adopted",
			change: func(*unstructured.Unstructured) {},
		},
		"OtherLabel": {
			reason: "labels of the user count",
			change: func(o *unstructured.Unstructured) { put(t, o, "other", "metadata", "labels", "app") },
			want:   []string{".metadata.labels.app"},
		},
		"Replicas": {
			reason: "to adopt it would change what runs",
			change: func(o *unstructured.Unstructured) { put(t, o, int64(1), "spec", "replicas") },
			want:   []string{".spec.replicas"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			existing := bare.DeepCopy()
			tc.change(existing)
			live, err := observe(existing, nil)
			if err != nil {
				t.Fatal(err)
			}
			diff, err := compare(schemaOfApps(t), desired, live)
			if err != nil {
				t.Fatalf("%s: compare(): %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, diff.foreign(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: foreign(): -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	desired := manifest(t, webDeployment)
	before := asApplied(t, desired)
	status := asApplied(t, desired, func(o *unstructured.Unstructured) {
		put(t, o, int64(2), "status", "readyReplicas")
		o.SetResourceVersion("11")
	})
	if before.fingerprint != status.fingerprint {
		t.Error("a change of the status alone changes the fingerprint: every one would cost a comparison")
	}
	spec := asApplied(t, desired, func(o *unstructured.Unstructured) { put(t, o, int64(2), "spec", "replicas") })
	if before.fingerprint == spec.fingerprint {
		t.Error("a change of the spec does not change the fingerprint: drift would go unnoticed")
	}
	unowned := manifest(t, webDeployment)
	unowned.SetUID("live-uid")
	o, err := observe(unowned, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.fingerprint == before.fingerprint {
		t.Error("a change of what we own does not change the fingerprint")
	}
}

func BenchmarkCompare(b *testing.B) {
	desired := manifest(b, webDeployment)
	live := asApplied(b, desired)
	schema := schemaOfApps(b)
	b.ReportAllocs()
	for b.Loop() {
		if diff, err := compare(schema, desired, live); err != nil || !diff.empty() {
			b.Fatal(diff.paths(), err)
		}
	}
}
