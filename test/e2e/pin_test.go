// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
)

// homeLabel says to which members an object of a pinned space goes.
const homeLabel = "example.com/home"

// pin sends what carries the home label with a value to the members named, and to
// them alone, also while they cannot be reached.
func (s *space) pin(t *testing.T, home string, members ...string) {
	t.Helper()
	policy := &policyv1alpha1.PropagationPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: home, Namespace: s.namespace},
		Spec: policyv1alpha1.PropagationSpec{
			ResourceSelectors: []policyv1alpha1.ResourceSelector{{
				APIVersion: policyv1alpha1.AnyResource, Kind: policyv1alpha1.AnyResource,
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{homeLabel: home}},
			}},
			Placement: policyv1alpha1.Placement{
				ClusterAffinity:    &policyv1alpha1.ClusterAffinity{ClusterNames: members},
				ClusterTolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			},
		},
	}
	if _, err := fleetAPI(t).PolicyV1alpha1().PropagationPolicies(s.namespace).Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create policy for %s: %v", home, err)
	}
}

// pinToEach pins to every member of the run by its name, and waits until that is
// known: a workload that is stored before may be placed elsewhere first.
func (s *space) pinToEach(t *testing.T) {
	t.Helper()
	for _, m := range bed.members {
		s.pin(t, m.Name(), m.Name())
	}
	for _, m := range bed.members {
		name := "pinned-to-" + m.Name()
		if err := s.createConfig(t.Context(), m.Name(), name, ""); err != nil {
			t.Fatal(err)
		}
		eventually(t, propagation, "the policy to be known", func(ctx context.Context) error { return s.checkConfig(ctx, m, name, "") })
	}
}

// createConfig creates a ConfigMap for a home.
func (s *space) createConfig(ctx context.Context, home, name, value string) error {
	_, err := s.kube.CoreV1().ConfigMaps(s.namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{homeLabel: home}},
		Data:       map[string]string{"value": value},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create configmap %s: %w", name, err)
	}
	return nil
}

// changeConfig changes the value of a ConfigMap.
func (s *space) changeConfig(ctx context.Context, name, value string) error {
	_, err := s.kube.CoreV1().ConfigMaps(s.namespace).Patch(ctx, name, types.MergePatchType,
		fmt.Appendf(nil, `{"data":{"value":%q}}`, value), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("change configmap %s: %w", name, err)
	}
	return nil
}

// checkConfig checks that a member has a ConfigMap with a value.
func (s *space) checkConfig(ctx context.Context, m *member, name, want string) error {
	got, err := m.memberClient.CoreV1().ConfigMaps(s.namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s has no configmap %s", m.Name(), name)
	case err != nil:
		return err
	case got.Data["value"] != want:
		return fmt.Errorf("configmap %s in %s is %q, want %q", name, m.Name(), got.Data["value"], want)
	}
	return nil
}

// createPinned creates a Deployment for a home and waits until it runs there.
func (s *space) createPinned(t *testing.T, home, name string, replicas int) {
	t.Helper()
	const manifest = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: %[1]s, labels: {%[2]s: %[3]s}}, spec: {replicas: %[4]d, " +
		"selector: {matchLabels: {app: %[1]s}}, template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: web, image: nginx}]}}}}"
	if out := s.kubectlStdin(t, fmt.Sprintf(manifest, name, homeLabel, home, replicas), "apply", "-f", "-"); out.code != 0 {
		t.Fatal(out.stderr)
	}
	s.kubectl(t, "rollout", "status", "deployment/"+name, "--timeout=60s")
}

// runningPods are the restarts of the pods that run in a member, by uid.
func (s *space) runningPods(ctx context.Context, m *member) (map[types.UID]int32, error) {
	pods, err := m.memberClient.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list pods of %s: %w", m.Name(), err)
	}
	out := map[types.UID]int32{}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		out[pod.UID] = 0
		for _, container := range pod.Status.ContainerStatuses {
			out[pod.UID] += container.RestartCount
		}
	}
	return out, nil
}

// checkStillRun checks that pods run which did before, none of them restarted.
func (s *space) checkStillRun(t *testing.T, m *member, before map[types.UID]int32) {
	t.Helper()
	now, err := s.runningPods(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	kept := maps.Clone(now)
	maps.DeleteFunc(kept, func(uid types.UID, _ int32) bool { _, was := before[uid]; return !was })
	if !maps.Equal(before, kept) {
		t.Errorf("pods of %s with their restarts: want still %v, got %v", m.Name(), before, now)
	}
}
