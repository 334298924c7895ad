// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
	"fleet.dev/fleet/pkg/member/fake"
)

const fleetID = "fleet-1"

// marked is an object of the fleet in a member.
func marked(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	object := fake.Manifest(t, text)
	object.SetLabels(map[string]string{wellknown.LabelManagedBy: fleetID})
	object.SetAnnotations(map[string]string{wellknown.AnnotationTemplateUID: "t"})
	return object
}

func connect(t *testing.T, m *fake.Member) *Member {
	t.Helper()
	member, err := Connect(m.Config(), "paris")
	if err != nil {
		t.Fatal(err)
	}
	return member
}

func workOf(name string) *workv1alpha1.Work {
	return &workv1alpha1.Work{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-paris", Name: name},
		Spec:       workv1alpha1.WorkSpec{Template: workv1alpha1.TemplateReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: "shop", Name: name}},
	}
}

func TestUnknown(t *testing.T) {
	m := fake.Start(t)
	for _, name := range []string{"known", "forgotten", "changed"} {
		m.Put(t, marked(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: `+name+`, namespace: shop}}`))
	}
	m.Put(t, marked(t, `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`))
	m.Put(t, fake.Manifest(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: others, namespace: shop}}`))
	fleet := fleetfake.NewSimpleClientset(workOf("known"))
	member := connect(t, m)

	found, err := FindUnknown(t.Context(), fleet, fleetID, member)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range found {
		got = append(got, found[i].String())
	}
	if diff := cmp.Diff([]string{"ConfigMap shop/changed", "ConfigMap shop/forgotten", "Namespace shop"}, got); diff != "" {
		t.Fatalf("what has the mark and no work is unknown, -want +got:\n%s", diff)
	}
	if writes := m.Writes(); writes != 0 {
		t.Errorf("to look changes nothing: %v", m.Requests())
	}

	m.Edit(t, "ConfigMap", "shop", "changed", func(o *unstructured.Unstructured) { o.Object["data"] = map[string]any{"a": "b"} })
	if err := Prune(t.Context(), fleet, member, &found[0]); err == nil || m.Get("ConfigMap", "shop", "changed") == nil {
		t.Errorf("what changed since it was shown is left alone: got %v", err)
	}
	if err := Prune(t.Context(), fleet, member, &found[1]); err != nil || m.Get("ConfigMap", "shop", "forgotten") != nil {
		t.Errorf("what was agreed upon goes: got %v", err)
	}
	again := found[0]
	again.ResourceVersion = m.Get("ConfigMap", "shop", "changed").GetResourceVersion()
	if err := fleet.Tracker().Add(workOf("changed")); err != nil {
		t.Fatal(err)
	}
	if err := Prune(t.Context(), fleet, member, &again); err == nil || m.Get("ConfigMap", "shop", "changed") == nil {
		t.Errorf("what the fleet knows by now is left alone: got %v", err)
	}
}

func TestTemplate(t *testing.T) {
	cases := map[string]struct {
		reason string
		object string
		want   string
		err    string
	}{
		"Running": {
			reason: "it is as its author wrote it",
			object: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, uid: u1, resourceVersion: "7", labels: {app: web},
				annotations: {note: x, kubectl.kubernetes.io/last-applied-configuration: y}}, data: {a: b}}`,
			want: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {app: web}, annotations: {note: x}}, data: {a: b}}`,
		},
		"Forgotten": {
			reason: "it was the fleet's and may be again; its marks are made anew",
			object: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {app: web, fleet.dev/managed-by: fleet-1}, annotations: {note: x, fleet.dev/template-uid: t}}}`,
			want:   `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {app: web}, annotations: {note: x}}}`,
		},
		"OfAnotherFleet": {
			reason: "two fleets would fight",
			object: `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, labels: {fleet.dev/managed-by: fleet-2}}}`,
			err:    "belongs to another fleet",
		},
		"Owned": {
			reason: "its owner would make another one",
			object: `{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, uid: r1, controller: true}]}}`,
			err:    "it belongs to ReplicaSet web-1",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Template(fake.Manifest(t, tc.object), fleetID)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("%s: want %q, got %v", tc.reason, tc.err, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fake.Manifest(t, tc.want).Object, got.Object); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestKeep(t *testing.T) {
	fleet := fleetfake.NewSimpleClientset()
	template := fake.Manifest(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}}`)
	name, err := Keep(t.Context(), fleet, template, "paris")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := fleet.PolicyV1alpha1().PropagationPolicies("shop").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"paris"}, policy.Spec.Placement.ClusterAffinity.ClusterNames); diff != "" {
		t.Errorf("it runs nowhere else: -want +got:\n%s", diff)
	}
	if again, err := Keep(t.Context(), fleet, template, "paris"); err != nil || again != name {
		t.Errorf("Keep() again = %q, %v; want the policy from before: it may have been released meanwhile", again, err)
	}
	if _, err := Keep(t.Context(), fleet, template, "rome"); !errors.Is(err, errOtherPolicy) {
		t.Errorf("a policy of that name is somebody's decision: want %v, got %v", errOtherPolicy, err)
	}
}

func TestWithoutMarks(t *testing.T) {
	object := fake.Manifest(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, uid: u1, labels: {fleet.dev/managed-by: fleet-1}, annotations: {note: x, fleet.dev/content-hash: h}}}`)
	want := fake.Manifest(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop, annotations: {note: x}}}`)
	if diff := cmp.Diff(want.Object, withoutMarks(object)); diff != "" {
		t.Errorf("what the fleet notes is no difference: -want +got:\n%s", diff)
	}
}
