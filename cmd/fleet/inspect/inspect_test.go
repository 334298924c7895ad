// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/scheme"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, reason, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("\n%s\n%s: -want, +got:\n%s", reason, file, diff)
	}
}

func member(name, region string, pods int64) *clusterv1alpha1.Cluster {
	return &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       clusterv1alpha1.ClusterSpec{Region: region},
		Status: clusterv1alpha1.ClusterStatus{
			Conditions:     []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: metav1.ConditionTrue}},
			APIEnablements: []clusterv1alpha1.APIEnablement{{GroupVersion: "apps/v1", Resources: []clusterv1alpha1.APIResource{{Name: "deployments", Kind: "Deployment"}}}},
			Capacity: &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{{
				Name: "all", Nodes: 1,
				Free: []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(pods, resource.DecimalSI)}}},
			}}},
		},
	}
}

// fleet has a Deployment on one of three members, with an override, and a policy
// that would have it divided.
func fleet(t *testing.T, binding *workv1alpha1.ResourceBinding) *Fleet {
	t.Helper()
	web := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"namespace": "shop", "name": "web", "uid": "u1", "generation": int64(1)},
		"spec": map[string]any{
			"replicas": int64(6),
			"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "web", "image": "nginx:1"}}},
			},
		},
	}}
	system := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kube-system", "uid": "f1"}}}
	kinds := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "apps", Version: "v1"}})
	kinds.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, meta.RESTScopeNamespace)
	policy := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "all", UID: "p1", Generation: 1}}
	policy.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment"}}
	policy.Spec.Placement = policyv1alpha1.Placement{
		ClusterAffinity: &policyv1alpha1.ClusterAffinity{Expression: `cluster.spec.region == "eu"`},
		ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
			ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: policyv1alpha1.Weighted,
			WeightPreference: &policyv1alpha1.ClusterPreferences{DynamicWeight: policyv1alpha1.DynamicWeightByAvailableReplicas},
		},
	}
	own := []runtime.Object{member("berlin", "eu", 10), member("paris", "eu", 20), member("tokyo", "asia", 10), policy}
	if binding != nil {
		own = append(own, binding)
	}
	return &Fleet{
		Objects: dynamicfake.NewSimpleDynamicClient(scheme.Scheme, web, system),
		Kinds:   kinds,
		Own:     fleetfake.NewClientset(own...),
	}
}

func placed() *workv1alpha1.ResourceBinding {
	binding := &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-deployment", UID: "b1", Generation: 1}}
	binding.Spec = workv1alpha1.BindingSpec{
		Resource:   workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "u1"},
		Clusters:   []workv1alpha1.TargetCluster{{Name: "berlin", Replicas: 4}, {Name: "paris", Replicas: 1}},
		Tombstones: []workv1alpha1.Tombstone{{ClusterName: "tokyo", UID: "u1"}},
		Overrides: []workv1alpha1.ResolvedOverride{
			{
				Policy: workv1alpha1.OverrideReference{Name: "registry"}, Clusters: []string{"berlin"},
				Overriders: policyv1alpha1.Overriders{ImageOverrider: []policyv1alpha1.ImageOverrider{{Component: policyv1alpha1.Registry, Operator: policyv1alpha1.OverriderOpAdd, Value: "eu.example.com"}}},
			},
			{
				Policy: workv1alpha1.OverrideReference{Namespace: "shop", Name: "wrong"}, Clusters: []string{"paris"},
				Overriders: policyv1alpha1.Overriders{Plaintext: []policyv1alpha1.PlaintextOverrider{{Path: "/spec/nothing", Operator: policyv1alpha1.OverriderOpRemove}}},
			},
		},
	}
	binding.Status.Conditions = []metav1.Condition{{Type: workv1alpha1.ConditionScheduled, Status: metav1.ConditionTrue, Reason: workv1alpha1.ReasonSuccess, Message: "members have been chosen"}}
	binding.Status.AggregatedStatus = []workv1alpha1.AggregatedStatusItem{{
		ClusterName: "berlin", AppliedReason: workv1alpha1.AppliedReasonDenied, AppliedMessage: `admission webhook "policy.example.com" denied the request: no latest tags`,
	}, {
		ClusterName: "paris", Applied: true, AppliedReason: workv1alpha1.AppliedReasonSuccess, Unschedulable: &workv1alpha1.UnschedulablePods{Count: 1, Since: metav1.NewTime(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))},
	}}
	return binding
}

func TestExplain(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		binding *workv1alpha1.ResourceBinding
		golden  string
	}{
		"Placed":    {reason: "What is, what would be, and what members get.", binding: placed(), golden: "placed.txt"},
		"NotPlaced": {reason: "An object that nobody decided about has no binding.", golden: "new.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			f := fleet(t, tc.binding)
			target, err := f.Find(t.Context(), "shop", "deployment/web")
			if err != nil {
				t.Fatal(err)
			}
			explanation, err := f.Explain(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			rendered, err := f.Render(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := Print(&out, target, explanation, rendered); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.reason, tc.golden, out.String())
		})
	}
}

func TestRender(t *testing.T) {
	f := fleet(t, placed())
	target, err := f.Find(t.Context(), "shop", "deployments", "web")
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.Render(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	berlin, ok := Of(all, "berlin")
	replicas, _, _ := unstructured.NestedFloat64(berlin.Manifest, "spec", "replicas")
	if !ok || berlin.Err != nil || replicas != 4 {
		t.Errorf("a member gets its share: %+v", berlin)
	}
	if paris, ok := Of(all, "paris"); !ok || paris.Err == nil {
		t.Errorf("an override that does not fit is an error: %+v", paris)
	}
	if tokyo, ok := Of(all, "tokyo"); !ok || !tokyo.Deleted {
		t.Errorf("a member may be told to delete: %+v", tokyo)
	}
	if _, ok := Of(all, "oslo"); ok {
		t.Error("a member that is not there gets nothing")
	}
}

func TestFind(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"NoName":   {reason: "A kind alone is no object.", args: []string{"deployment"}, want: "name one object"},
		"Empty":    {reason: "Nor is a kind with an empty name.", args: []string{"deployment/"}, want: "name one object"},
		"NoKind":   {reason: "There is no such kind.", args: []string{"planet/mars"}, want: `find kind "planet"`},
		"NoObject": {reason: "There is no such object.", args: []string{"deployment.apps/api"}, want: "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fleet(t, nil).Find(t.Context(), "shop", tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("\n%s\nFind(...): want error %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}
