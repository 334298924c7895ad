// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package works

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/test/integration/harness"
)

// TestOverrideFailsForItsMemberAlone: an expression that makes no sense for one
// member leaves the others alone, and the binding says why.
func TestOverrideFailsForItsMemberAlone(t *testing.T) {
	t.Parallel()
	fleet := harness.StartAPIServer(t, "")
	client := fleet.Fleet.WorkV1alpha1()
	_, binding := createPlaced(t, fleet, "overridden", "f1", "f2")
	name := workv1alpha1.WorkName(binding.Namespace, binding.Name)
	binding.Spec.Overrides = []workv1alpha1.ResolvedOverride{{
		Policy:     workv1alpha1.OverrideReference{Name: "region"},
		Overriders: policyv1alpha1.Overriders{Expression: `Object{metadata: Object.metadata{labels: {"env": cluster.metadata.labels["env"]}}}`},
		Facts:      []workv1alpha1.ClusterFacts{{Name: "f1", Labels: map[string]string{"env": "prod"}}, {Name: "f2"}},
	}}
	binding, err := client.ResourceBindings("default").Update(t.Context(), binding, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	work := func(ctx context.Context, member, want string) error {
		found, err := client.Works(clusterv1alpha1.MemberNamespace(member)).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if manifest := string(found.Spec.Workload.Manifests[0].Raw); strings.Contains(manifest, want) {
			return nil
		}
		return fmt.Errorf("the work of %s has no %s", member, want)
	}
	told := func(want string) func(context.Context) error {
		return func(ctx context.Context) error {
			found, err := client.ResourceBindings("default").Get(ctx, binding.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			condition := meta.FindStatusCondition(found.Status.Conditions, workv1alpha1.ConditionFullyApplied)
			if condition == nil || !strings.Contains(condition.Message, want) {
				return fmt.Errorf("condition: %+v", condition)
			}
			return nil
		}
	}
	eventually(t, "the member whose override fits gets it", func(ctx context.Context) error { return work(ctx, "f1", `"env":"prod"`) })
	eventually(t, "the binding says why the other has none", told(`not rendered for f2: apply override "/region": expression: evaluate expression: no such key: env`))

	eventually(t, "the fact is put right", func(ctx context.Context) error {
		latest, err := client.ResourceBindings("default").Get(ctx, binding.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		latest.Spec.Overrides[0].Facts[1].Labels = map[string]string{"env": "stage"}
		_, err = client.ResourceBindings("default").Update(ctx, latest, metav1.UpdateOptions{})
		return err
	})
	eventually(t, "the other member gets it too", func(ctx context.Context) error { return work(ctx, "f2", `"env":"stage"`) })
	eventually(t, "and nothing is said any more", told("waiting for f1, f2"))
}

// TestExpressionsAreTypeChecked: a policy that could never work is not stored.
func TestExpressionsAreTypeChecked(t *testing.T) {
	t.Parallel()
	fleet := harness.StartAPIServer(t, "")
	policy := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "typo"}}
	policy.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "v1", Kind: "ConfigMap"}}
	policy.Spec.Placement.ClusterAffinity = &policyv1alpha1.ClusterAffinity{Expression: `cluster.spec.regoin == "eu"`}
	_, err := fleet.Fleet.PolicyV1alpha1().ClusterPropagationPolicies().Create(t.Context(), policy, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "undefined field 'regoin'") {
		t.Errorf("a field that does not exist: %v", err)
	}
}
