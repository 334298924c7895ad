// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/controllers/manager"
	"fleet.dev/fleet/pkg/member/fake"
	"fleet.dev/fleet/test/integration/harness"
)

// counted is a namespace with three Pods of two members in it, of the Deployment web.
const counted = "counted"

// TestCounting has stock controllers count the Pods of members.
func TestCounting(t *testing.T) {
	t.Parallel()
	fleet := start(t, func(config *manager.Config) {
		// There is no syncer, so no member would be ready.
		config.Kube.Generic.Controllers = []string{"*", "-" + manager.ClusterController}
		config.Kube.HPAController.HorizontalPodAutoscalerSyncPeriod.Duration = time.Second
	})
	a, b := fake.Start(t), fake.Start(t)
	newNamespace(t, fleet, counted)
	for name, member := range map[string]*fake.Member{"a": a, "b": b} {
		version := schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1beta1"}
		member.Serve(fake.Kind{GroupVersionKind: version.WithKind("PodMetrics"), Resource: "pods", Namespaced: true})
		joinFake(t, fleet, name, member)
	}
	putPod(t, a, "web-1", "500m")
	putPod(t, a, "web-2", "500m")
	putPod(t, b, "web-3", "500m")
	deployWeb(t, fleet)

	t.Run("Autoscaler", func(t *testing.T) { checkAutoscaler(t, fleet, a, b) })
	t.Run("Quota", func(t *testing.T) { checkPodQuota(t, fleet) })
	t.Run("Budget", func(t *testing.T) { checkBudget(t, fleet, a) })
}

// joinFake makes a fake a member in Push mode that says it has metrics.
func joinFake(t *testing.T, fleet *harness.APIServer, name string, member *fake.Member) {
	t.Helper()
	namespace := newNamespace(t, fleet, clusterv1alpha1.MemberNamespace(name))
	must[*corev1.Secret](t)(fleet.Kube.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{wellknown.SecretKeyToken: []byte(fake.Token)},
	}, metav1.CreateOptions{}))
	reference := &clusterv1alpha1.LocalSecretReference{Namespace: namespace, Name: name}
	clusters := fleet.Fleet.ClusterV1alpha1().Clusters()
	cluster := must[*clusterv1alpha1.Cluster](t)(clusters.Create(t.Context(), &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: clusterv1alpha1.ClusterSpec{
			SyncMode: clusterv1alpha1.Push, ID: string(member.UID()), APIEndpoint: member.Config().Host, InsecureSkipTLSVerification: true,
			SecretRef: reference, ImpersonatorSecretRef: reference, Accepted: true,
		},
	}, metav1.CreateOptions{}))
	cluster.Status.APIEnablements = []clusterv1alpha1.APIEnablement{{GroupVersion: "metrics.k8s.io/v1beta1"}}
	must[*clusterv1alpha1.Cluster](t)(clusters.UpdateStatus(t.Context(), cluster, metav1.UpdateOptions{}))
}

// putPod has a member run a Pod of the fleet's that uses so much CPU.
func putPod(t *testing.T, member *fake.Member, name, cpu string) {
	t.Helper()
	member.Put(t, fake.Manifest(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {namespace: %s, name: %s, labels: {app: web, %s: abc}}
spec: {nodeName: n1, containers: [{name: web, image: nginx, resources: {requests: {cpu: 100m}}}]}
status:
  phase: Running
  startTime: 2026-01-01T00:00:00Z
  conditions: [{type: Ready, status: "True", lastTransitionTime: 2026-01-01T00:00:00Z}]
`, counted, name, wellknown.LabelTemplate)))
	member.Put(t, fake.Manifest(t, fmt.Sprintf(`
apiVersion: metrics.k8s.io/v1beta1
kind: PodMetrics
metadata: {namespace: %s, name: %s, labels: {app: web}}
window: 15s
timestamp: %s
containers: [{name: web, usage: {cpu: %s}}]
`, counted, name, time.Now().UTC().Format(time.RFC3339), cpu)))
}

// deployWeb stores the Deployment, whose status nobody else writes here.
func deployWeb(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	labels := map[string]string{"app": "web"}
	deployments := fleet.Kube.AppsV1().Deployments(counted)
	web := must[*appsv1.Deployment](t)(deployments.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(3)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}},
			},
		},
	}, metav1.CreateOptions{}))
	web.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 3, ReadyReplicas: 3, AvailableReplicas: 3, UpdatedReplicas: 3}
	must[*appsv1.Deployment](t)(deployments.UpdateStatus(t.Context(), web, metav1.UpdateOptions{}))
}

// checkAutoscaler has the fleet scale by what Pods use in all members.
func checkAutoscaler(t *testing.T, fleet *harness.APIServer, members ...*fake.Member) {
	t.Helper()
	autoscalers := fleet.Kube.AutoscalingV2().HorizontalPodAutoscalers(counted)
	must[*autoscalingv2.HorizontalPodAutoscaler](t)(autoscalers.Create(t.Context(), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MinReplicas:    new(int32(2)), MaxReplicas: 10,
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(250))},
			}}},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(0))}},
		},
	}, metav1.CreateOptions{}))
	replicas := func(reason string, want int32) {
		t.Helper()
		eventually(t, reason, func(ctx context.Context) (bool, error) {
			web, err := fleet.Kube.AppsV1().Deployments(counted).Get(ctx, "web", metav1.GetOptions{})
			if err == nil && *web.Spec.Replicas != want {
				autoscaler, _ := autoscalers.Get(ctx, "web", metav1.GetOptions{})
				err = fmt.Errorf("%d replicas, want %d; the autoscaler says %+v", *web.Spec.Replicas, want, autoscaler.Status)
			}
			return true, err
		})
	}
	replicas("twice as much as intended is used, in both members", 6)
	for i, member := range members {
		for _, name := range [][]string{{"web-1", "web-2"}, {"web-3"}}[i] {
			putPod(t, member, name, "50m")
		}
	}
	replicas("a fifth of what is intended is used", 2)
}

// checkPodQuota has a quota count Pods of members.
func checkPodQuota(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	quotas := fleet.Kube.CoreV1().ResourceQuotas(counted)
	must[*corev1.ResourceQuota](t)(quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "pods"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("3"), "requests.cpu": resource.MustParse("2")}},
	}, metav1.CreateOptions{}))
	eventually(t, "Pods of members are counted", func(ctx context.Context) (bool, error) {
		quota, err := quotas.Get(ctx, "pods", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if pods, cpu := quota.Status.Used["pods"], quota.Status.Used["requests.cpu"]; pods.String() != "3" || cpu.String() != "300m" {
			return false, fmt.Errorf("used are %v", quota.Status.Used)
		}
		return true, nil
	})
	more := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "more"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "c", Image: "nginx", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1m")}},
	}}}}
	eventually(t, "a Pod too many is refused", func(ctx context.Context) (bool, error) { // once admission has seen the quota
		_, err := fleet.Kube.CoreV1().Pods(counted).Create(ctx, more, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsForbidden(err) {
			return true, nil
		}
		return false, err
	})
}

// checkBudget has a budget be over the Pods of all members.
func checkBudget(t *testing.T, fleet *harness.APIServer, a *fake.Member) {
	t.Helper()
	budgets := fleet.Kube.PolicyV1().PodDisruptionBudgets(counted)
	must[*policyv1.PodDisruptionBudget](t)(budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromInt32(2)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		},
	}, metav1.CreateOptions{}))
	status := func(reason string, allowed, healthy int32) {
		t.Helper()
		eventually(t, reason, func(ctx context.Context) (bool, error) {
			budget, err := budgets.Get(ctx, "web", metav1.GetOptions{})
			if err == nil && (budget.Status.DisruptionsAllowed != allowed || budget.Status.CurrentHealthy != healthy) {
				err = fmt.Errorf("its status is %+v", budget.Status)
			}
			return true, err
		})
	}
	evict := func(name string) error {
		return fleet.Kube.CoreV1().Pods(counted).EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: counted, Name: name}})
	}
	status("three Pods of two members are healthy", 1, 3)
	if err := evict("web-1"); err != nil {
		t.Errorf("one may be disrupted: %v", err)
	}
	if left := a.Get("Pod", counted, "web-1"); left != nil {
		t.Errorf("it is evicted in its member, got %v", left)
	}
	status("no other one may be disrupted", 0, 2)
	for _, name := range []string{"web-2", "web-3"} {
		if err := evict(name); !apierrors.IsTooManyRequests(err) {
			t.Errorf("%s stays, in whichever member it is: got %v", name, err)
		}
	}
	setReady(t, fleet, "b", metav1.ConditionUnknown)
	status("nobody hears from one of the members", 0, 1)
	setReady(t, fleet, "b", metav1.ConditionTrue)
	status("it is heard from again", 0, 2)
}

// setReady says of a member whether it is ready, as the controller would that does not run here.
func setReady(t *testing.T, fleet *harness.APIServer, name string, ready metav1.ConditionStatus) {
	t.Helper()
	clusters := fleet.Fleet.ClusterV1alpha1().Clusters()
	cluster := must[*clusterv1alpha1.Cluster](t)(clusters.Get(t.Context(), name, metav1.GetOptions{}))
	meta.SetStatusCondition(&cluster.Status.Conditions, metav1.Condition{Type: clusterv1alpha1.ClusterConditionReady, Status: ready, Reason: "Tested"})
	must[*clusterv1alpha1.Cluster](t)(clusters.UpdateStatus(t.Context(), cluster, metav1.UpdateOptions{}))
}
