// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/examples/scheduler/cheapest"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/pkg/scheduler/config"
	"fleet.dev/fleet/pkg/scheduler/framework/runtime"
	"fleet.dev/fleet/test/integration/harness"
)

// TestOwnPluginAndProfile runs the example's scheduler: its configuration file with two
// profiles, and its plugin, which is not built in.
func TestOwnPluginAndProfile(t *testing.T) {
	t.Parallel()
	configuration, err := config.Load("../../../examples/scheduler/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fleet := start(t, func(c *scheduler.Config) {
		c.Configuration = configuration
		c.Plugins = runtime.Registry{cheapest.Name: cheapest.New}
	})
	for name, schedulerName := range map[string]string{"default": "", "cheap": "cheap", "left": "somebody-else"} {
		p := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
		p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment", Name: name}}
		p.Spec.SchedulerName = schedulerName
		if _, err := fleet.Fleet.PolicyV1alpha1().PropagationPolicies(metav1.NamespaceDefault).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := fleet.Kube.AppsV1().Deployments(metav1.NamespaceDefault).Create(t.Context(), deployment(name, 2), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the default profile duplicates", placedOn(fleet, "default", "berlin", "tokyo"))
	eventually(t, "the refusals of the plugin are told in its words", func(ctx context.Context) error {
		binding, err := bindingOf(ctx, fleet, "cheap")
		if err != nil {
			return err
		}
		condition := meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionScheduled)
		if condition == nil || condition.Message != "0/2 clusters are available: 2 did not say what they cost" {
			return fmt.Errorf("condition: %+v", condition)
		}
		return nil
	})
	label(t, fleet, "tokyo", "70")
	label(t, fleet, "berlin", "40")
	eventually(t, "what costs too much is left out", placedOn(fleet, "cheap", "berlin"))
	label(t, fleet, "tokyo", "45")
	eventually(t, "until it becomes cheaper", placedOn(fleet, "cheap", "berlin", "tokyo"))
	if _, err := bindingOf(t.Context(), fleet, "left"); err == nil {
		t.Error("a template of another scheduler was decided about")
	}
}

func bindingOf(ctx context.Context, fleet *harness.APIServer, deployment string) (*workv1alpha1.ResourceBinding, error) {
	return fleet.Fleet.WorkV1alpha1().ResourceBindings(metav1.NamespaceDefault).Get(ctx, workv1alpha1.BindingName("Deployment", deployment), metav1.GetOptions{})
}

func placedOn(fleet *harness.APIServer, deployment string, members ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		binding, err := bindingOf(ctx, fleet, deployment)
		if err != nil {
			return err
		}
		var on []string
		for _, cluster := range binding.Spec.Clusters {
			on = append(on, cluster.Name)
		}
		if diff := cmp.Diff(members, on); diff != "" {
			return fmt.Errorf("members: -want, +got:\n%s", diff)
		}
		return nil
	}
}

func label(t *testing.T, fleet *harness.APIServer, member, cents string) {
	t.Helper()
	change := fmt.Sprintf(`{"metadata":{"labels":{"example.com/cents-per-hour":%q}}}`, cents)
	if _, err := fleet.Fleet.ClusterV1alpha1().Clusters().Patch(t.Context(), member, types.MergePatchType, []byte(change), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}
