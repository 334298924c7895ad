// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/test/integration/harness"
)

// rendered is what a member gets of the Deployment of TestOneWritePerDecision.
type rendered struct {
	Image    string
	Registry string
	Replicas int32
}

func (r rendered) of(member string, fleet *harness.APIServer, binding string) func(context.Context) error {
	return func(ctx context.Context) error {
		name := workv1alpha1.WorkName(metav1.NamespaceDefault, binding)
		work, err := fleet.Fleet.WorkV1alpha1().Works(clusterv1alpha1.MemberNamespace(member)).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var manifest appsv1.Deployment
		if err := json.Unmarshal(work.Spec.Workload.Manifests[0].Raw, &manifest); err != nil {
			return fmt.Errorf("read the work of %s: %w", member, err)
		}
		got := rendered{Image: manifest.Spec.Template.Spec.Containers[0].Image, Registry: manifest.Labels["registry"], Replicas: *manifest.Spec.Replicas}
		if diff := cmp.Diff(r, got); diff != "" {
			return fmt.Errorf("work of %s: -want, +got:\n%s", member, diff)
		}
		return nil
	}
}

// overrides give each of the two members an image tag of its own, and both a label
// that an expression takes from the member.
func overrides(berlin, tokyo string) []policyv1alpha1.RuleWithCluster {
	tag := func(member, tag string) policyv1alpha1.RuleWithCluster {
		return policyv1alpha1.RuleWithCluster{
			TargetCluster: &policyv1alpha1.ClusterAffinity{ClusterNames: []string{member}},
			Overriders: policyv1alpha1.Overriders{ImageOverrider: []policyv1alpha1.ImageOverrider{
				{Component: policyv1alpha1.Registry, Operator: policyv1alpha1.OverriderOpAdd, Value: tag},
			}},
		}
	}
	return []policyv1alpha1.RuleWithCluster{
		tag("berlin", berlin), tag("tokyo", tokyo),
		{Overriders: policyv1alpha1.Overriders{Expression: `Object{metadata: Object.metadata{labels: {"registry": cluster.spec.region}}}`}},
	}
}

// TestOneWritePerDecision changes a Deployment and its overrides, which differ for
// its two members, again and again, and counts in etcd: the binding is written once
// for each decision that is another one than before, and not at all when only the
// Deployment changes.
func TestOneWritePerDecision(t *testing.T) {
	t.Parallel()
	fleet := start(t)
	deployments := fleet.Kube.AppsV1().Deployments(metav1.NamespaceDefault)
	policies := fleet.Fleet.PolicyV1alpha1().OverridePolicies(metav1.NamespaceDefault)
	policy := &policyv1alpha1.OverridePolicy{ObjectMeta: metav1.ObjectMeta{Name: "registries"}}
	policy.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}}
	policy.Spec.OverrideRules = overrides("eu0.example.com", "asia0.example.com")
	if _, err := policies.Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := workv1alpha1.BindingName("Deployment", "web")
	written := follow(t, fleet, "resourcebindings", metav1.NamespaceDefault, binding)
	both := func(reason string, round int, image string, replicas int32) {
		t.Helper()
		for member, region := range map[string]string{"berlin": "eu", "tokyo": "asia"} {
			want := rendered{Image: fmt.Sprintf("%s%d.example.com/%s", region, round, image), Registry: region, Replicas: replicas}
			eventually(t, reason, want.of(member, fleet, binding))
		}
	}
	wantWrites := func(reason string, want int) {
		t.Helper()
		var generations, others int
		last := int64(0)
		for _, w := range written.writes(t) {
			if w.Metadata.Generation == last {
				others++
				continue
			}
			last = w.Metadata.Generation
			generations++
		}
		if generations != want || others != 0 {
			t.Errorf("%s: writes of the binding: want %d, got %d decisions and %d of something else", reason, want, generations, others)
		}
	}

	if _, err := deployments.Create(t.Context(), deployment("web", 4), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	both("created", 0, "nginx:1", 2)
	wantWrites("Created", 1)

	const rounds = 5
	for round := 1; round <= rounds; round++ {
		patch(t, fleet, fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:%d"}]}}}}`, round+1))
		changeOverrides(t, fleet, round)
		both("base and overrides change", round, fmt.Sprintf("nginx:%d", round+1), 2)
	}
	wantWrites("The overrides changed with the base", 1+rounds)

	patch(t, fleet, `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:again"}]}}}}`)
	both("only the base changes", rounds, "nginx:again", 2)
	wantWrites("Only the base changed", 1+rounds)

	patch(t, fleet, `{"spec":{"replicas":8}}`)
	both("scaled", rounds, "nginx:again", 4)
	wantWrites("Scaled", 2+rounds)
}

func patch(t *testing.T, fleet *harness.APIServer, change string) {
	t.Helper()
	deployments := fleet.Kube.AppsV1().Deployments(metav1.NamespaceDefault)
	if _, err := deployments.Patch(t.Context(), "web", types.StrategicMergePatchType, []byte(change), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// changeOverrides replaces the rules of the policy.
func changeOverrides(t *testing.T, fleet *harness.APIServer, round int) {
	t.Helper()
	rules, err := json.Marshal(map[string]any{"spec": map[string]any{
		"overrideRules": overrides(fmt.Sprintf("eu%d.example.com", round), fmt.Sprintf("asia%d.example.com", round)),
	}})
	if err != nil {
		t.Fatal(err)
	}
	policies := fleet.Fleet.PolicyV1alpha1().OverridePolicies(metav1.NamespaceDefault)
	if _, err := policies.Patch(t.Context(), "registries", types.MergePatchType, rules, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}
