// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// admissionTimeout bounds how long a policy may take to be known to the server.
const admissionTimeout = 60 * time.Second

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

// TestAdmission shows that the plugins users count on decide here, and that those
// do not that would need nodes.
func TestAdmission(t *testing.T) {
	t.Run("ResourceQuota", func(t *testing.T) {
		inside := namespace(t, nil)
		quotas := shared.Kube.CoreV1().ResourceQuotas(inside)
		hard := corev1.ResourceList{"count/configmaps": resource.MustParse("0")}
		quota, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: hard.DeepCopy()} // as the controller does
		if _, err := quotas.UpdateStatus(t.Context(), quota, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		until(t, "a ConfigMap over the quota is refused", func() bool {
			_, err := shared.Kube.CoreV1().ConfigMaps(inside).Create(t.Context(), configMap("one"), dryRun)
			return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: none")
		})
	})
	t.Run("LimitRanger", func(t *testing.T) {
		inside := namespace(t, nil)
		ranges := shared.Kube.CoreV1().LimitRanges(inside)
		if _, err := ranges.Create(t.Context(), &corev1.LimitRange{
			ObjectMeta: metav1.ObjectMeta{Name: "small"},
			Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
				Type: corev1.LimitTypeContainer, DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
			}}},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		until(t, "a Pod gets the default request", func() bool {
			made, err := shared.Kube.CoreV1().Pods(inside).Create(t.Context(), pod(nil), dryRun)
			return err == nil && made.Spec.Containers[0].Resources.Requests.Cpu().String() == "100m"
		})
	})
	t.Run("PodSecurity", func(t *testing.T) {
		inside := namespace(t, map[string]string{"pod-security.kubernetes.io/enforce": "baseline"})
		_, err := shared.Kube.CoreV1().Pods(inside).Create(t.Context(), pod(&corev1.SecurityContext{Privileged: new(true)}), dryRun)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `violates PodSecurity "baseline:latest": privileged`) {
			t.Errorf("a privileged Pod in a namespace of level baseline: want 403 that names the level, got %v", err)
		}
	})
	t.Run("ServiceAccount", func(t *testing.T) {
		made, err := shared.Kube.CoreV1().Pods("default").Create(t.Context(), pod(nil), dryRun)
		if err != nil {
			t.Fatalf("a Pod needs no ServiceAccount in the fleet: %v", err)
		}
		if made.Spec.ServiceAccountName != "default" {
			t.Errorf("a Pod shows its ServiceAccount: %+v", made.Spec)
		}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{GenerateName: "app-"}}
		if account, err = shared.Kube.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		for name, automount := range map[string]*bool{"mount": nil, "opt out": new(false)} {
			asked := pod(nil)
			asked.Spec.ServiceAccountName, asked.Spec.AutomountServiceAccountToken = account.Name, automount
			made, err := shared.Kube.CoreV1().Pods("default").Create(t.Context(), asked, dryRun)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := len(made.Spec.Containers[0].VolumeMounts) > 0, automount == nil; got != want {
				t.Errorf("%s: the token is mounted: %t, want %t", name, got, want)
			}
		}
	})
	t.Run("ValidatingAdmissionPolicy", func(t *testing.T) {
		policies := shared.Kube.AdmissionregistrationV1()
		meta := metav1.ObjectMeta{Name: namespace(t, nil)} // a name that is free
		if _, err := policies.ValidatingAdmissionPolicies().Create(t.Context(), &admissionv1.ValidatingAdmissionPolicy{
			ObjectMeta: meta,
			Spec: admissionv1.ValidatingAdmissionPolicySpec{
				MatchConstraints: &admissionv1.MatchResources{ResourceRules: ruleFor("clusters", "cluster.fleet.dev", "v1alpha1")},
				Validations:      []admissionv1.Validation{{Expression: `object.spec.region != "forbidden"`, Message: "not there"}},
			},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := policies.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: meta,
			Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: meta.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		until(t, "a policy decides about the fleet's own kinds", func() bool {
			_, err := shared.Fleet.ClusterV1alpha1().Clusters().Create(t.Context(), cluster("forbidden"), dryRun)
			return apierrors.IsInvalid(err) && strings.Contains(err.Error(), "not there")
		})
	})
	t.Run("MutatingAdmissionPolicy", func(t *testing.T) {
		policies := shared.Kube.AdmissionregistrationV1()
		meta := metav1.ObjectMeta{Name: namespace(t, nil)} // a name that is free
		if _, err := policies.MutatingAdmissionPolicies().Create(t.Context(), &admissionv1.MutatingAdmissionPolicy{
			ObjectMeta: meta,
			Spec: admissionv1.MutatingAdmissionPolicySpec{
				MatchConstraints:   &admissionv1.MatchResources{ResourceRules: ruleFor("clusters", "cluster.fleet.dev", "v1alpha1")},
				ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
				Mutations: []admissionv1.Mutation{{
					PatchType:          admissionv1.PatchTypeApplyConfiguration,
					ApplyConfiguration: &admissionv1.ApplyConfiguration{Expression: `Object{spec: Object.spec{provider: "mutated"}}`},
				}},
			},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := policies.MutatingAdmissionPolicyBindings().Create(t.Context(), &admissionv1.MutatingAdmissionPolicyBinding{
			ObjectMeta: meta, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: meta.Name},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		until(t, "a policy changes the fleet's own kinds", func() bool {
			made, err := shared.Fleet.ClusterV1alpha1().Clusters().Create(t.Context(), cluster("eu"), dryRun)
			return err == nil && made.Spec.Provider == "mutated"
		})
	})
}

func ruleFor(resource, group, version string) []admissionv1.NamedRuleWithOperations {
	return []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create},
		Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{version}, Resources: []string{resource}},
	}}}
}

// namespace makes one of its own for a test.
func namespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	made, err := shared.Kube.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Name
}

func pod(security *corev1.SecurityContext) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx", SecurityContext: security}}},
	}
}

// until repeats what depends on the server's informers.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	poll := func(context.Context) (bool, error) { return done(), nil }
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, admissionTimeout, true, poll); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
