// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/pkg/scheduler/config"
	"fleet.dev/fleet/test/integration/harness"
)

// inBerlin divides a Deployment by capacity, among members that are one.
func inBerlin(t *testing.T, fleet *harness.APIServer, name string, priority *policyv1alpha1.SchedulePriority) {
	t.Helper()
	policy := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}}
	policy.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{
		{APIVersion: "apps/v1", Kind: "Deployment", Name: name}, {APIVersion: "v1", Kind: "ConfigMap", Name: name},
	}
	policy.Spec.SchedulePriority = priority
	policy.Spec.Placement = policyv1alpha1.Placement{
		ClusterAffinity: &policyv1alpha1.ClusterAffinity{ClusterNames: []string{"berlin"}},
		ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
			ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: policyv1alpha1.Weighted,
			WeightPreference: &policyv1alpha1.ClusterPreferences{DynamicWeight: policyv1alpha1.DynamicWeightByAvailableReplicas},
		},
	}
	if _, err := fleet.Fleet.PolicyV1alpha1().PropagationPolicies(metav1.NamespaceDefault).Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := fleet.Kube.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the policy of "+name+" is known", func(ctx context.Context) error {
		binding, err := fleet.Fleet.WorkV1alpha1().ResourceBindings(metav1.NamespaceDefault).Get(ctx, workv1alpha1.BindingName("ConfigMap", name), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if followed := binding.Spec.Policy; followed == nil || followed.Name != name {
			return fmt.Errorf("it follows policy %+v", followed)
		}
		return nil
	})
}

// replicas waits until so many replicas of a Deployment are placed, and its
// condition says something; nothing when it is to be True.
func replicas(t *testing.T, fleet *harness.APIServer, name string, want int32, message string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s has %d replicas", name, want), func(ctx context.Context) error {
		binding, err := fleet.Fleet.WorkV1alpha1().ResourceBindings(metav1.NamespaceDefault).Get(ctx, workv1alpha1.BindingName("Deployment", name), metav1.GetOptions{})
		if err != nil {
			return err
		}
		var got int32
		for _, cluster := range binding.Spec.Clusters {
			got += cluster.Replicas
		}
		scheduled := meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionScheduled)
		if got != want || scheduled == nil || (scheduled.Status == metav1.ConditionFalse) != (message != "") || !strings.Contains(scheduled.Message, message) {
			return fmt.Errorf("it has %d, %+v", got, scheduled)
		}
		return nil
	})
}

// tell has berlin report that so many Pods are free, having seen the works of a
// Deployment and all before them.
func tell(t *testing.T, fleet *harness.APIServer, free int64, seen string) {
	t.Helper()
	namespace := clusterv1alpha1.MemberNamespace("berlin")
	name := workv1alpha1.WorkName(metav1.NamespaceDefault, workv1alpha1.BindingName("Deployment", seen))
	work, err := fleet.Fleet.WorkV1alpha1().Works(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := fleet.Fleet.ClusterV1alpha1().Clusters().Get(t.Context(), "berlin", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Status.Capacity.ObservedWorkVersion = work.ResourceVersion
	cluster.Status.Capacity.Classes[0].Free[0].Resources[corev1.ResourcePods] = *resource.NewQuantity(free, resource.DecimalSI)
	if _, err := fleet.Fleet.ClusterV1alpha1().Clusters().UpdateStatus(t.Context(), cluster, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// patient never forgets a promise by itself.
func patient() *config.SchedulerConfiguration {
	c := config.Default()
	c.PromiseLifetime = metav1.Duration{Duration: time.Hour}
	return c
}

// TestReportEndsPromises has a member report before and after it runs what was
// decided upon: that counts until then, and is not counted twice from then on.
func TestReportEndsPromises(t *testing.T) {
	t.Parallel()
	fleet := start(t, func(c *scheduler.Config) { c.Configuration = patient() })
	create := func(name string, n int32) {
		t.Helper()
		inBerlin(t, fleet, name, nil)
		if _, err := fleet.Kube.AppsV1().Deployments(metav1.NamespaceDefault).Create(t.Context(), deployment(name, n), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create("first", 1)
	replicas(t, fleet, "first", 1, "")
	create("second", 90)
	replicas(t, fleet, "second", 90, "")
	tell(t, fleet, 99, "first")
	create("third", 20)
	replicas(t, fleet, "third", 0, "not enough capacity for 20 more replicas")
	tell(t, fleet, 20, "second")
	replicas(t, fleet, "third", 20, "")
}

// TestMakingRoom has a workload of high priority take the place of another.
func TestMakingRoom(t *testing.T) {
	t.Parallel()
	fleet := start(t, func(c *scheduler.Config) { c.Configuration = patient() })
	high := &policyv1alpha1.SchedulePriority{PriorityClassSource: policyv1alpha1.KubePriorityClass, PriorityClassName: "high"}
	inBerlin(t, fleet, "low", nil)
	inBerlin(t, fleet, "high", high)
	deployments := fleet.Kube.AppsV1().Deployments(metav1.NamespaceDefault)
	if _, err := deployments.Create(t.Context(), deployment("low", 95), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	replicas(t, fleet, "low", 95, "")
	tell(t, fleet, 5, "low")
	if _, err := deployments.Create(t.Context(), deployment("high", 9), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	replicas(t, fleet, "high", 0, `priority class "high", which the policy asks for, does not exist`)

	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000}
	if _, err := fleet.Kube.SchedulingV1().PriorityClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	replicas(t, fleet, "low", 91, "preempted by Deployment.apps default/high")
	eventually(t, "an event tells who made room", func(ctx context.Context) error {
		events, err := fleet.Kube.EventsV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "reason=Preempted"})
		if err != nil {
			return err
		}
		if len(events.Items) != 1 || events.Items[0].Regarding.Name != "low" || events.Items[0].Note != "4 replicas on berlin made room for Deployment.apps default/high" {
			return fmt.Errorf("events: %+v", events.Items)
		}
		return nil
	})
	tell(t, fleet, 9, "low")
	replicas(t, fleet, "high", 9, "")
	replicas(t, fleet, "low", 91, "not enough capacity for 4 more replicas")
}
