// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// driftCorrection is how soon a change that somebody made in a member must be
// undone.
const driftCorrection = 5 * time.Second

// TestDrift changes objects in a member behind the fleet's back.
func TestDrift(t *testing.T) {
	s := newSpace(t)
	s.kubectl(t, "create", "configmap", "settings", "--from-literal=greeting=hello")
	s.kubectl(t, "create", "deployment", "web", "--image=nginx", "--replicas=4")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	m := bed.members[0]
	onMember := &space{command: command{kubeconfig: m.Kubeconfig()}, namespace: s.namespace}
	eventually(t, propagation, "the configmap to be in the member", func(ctx context.Context) error {
		_, err := m.memberClient.CoreV1().ConfigMaps(s.namespace).Get(ctx, "settings", metav1.GetOptions{})
		return err
	})

	owned := map[string]struct {
		reason string
		edit   []string
		read   []string
	}{
		"Image":    {"the template says which image runs", []string{"set", "image", "deployment/web", "nginx=evil"}, []string{"get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[*].image}"}},
		"Replicas": {"the binding says how many run here", []string{"scale", "deployment/web", "--replicas=7"}, []string{"get", "deployment", "web", "-o", "jsonpath={.spec.replicas}"}},
		"Data":     {"the template says what is configured", []string{"patch", "configmap", "settings", "-p", `{"data":{"greeting":"bye"}}`}, []string{"get", "configmap", "settings", "-o", "jsonpath={.data.greeting}"}},
		"Removed":  {"a field that is ours cannot be taken away", []string{"patch", "configmap", "settings", "-p", `{"data":{"greeting":null}}`}, []string{"get", "configmap", "settings", "-o", "jsonpath={.data.greeting}"}},
		"Deleted":  {"an object that is wanted comes back", []string{"delete", "configmap", "settings"}, []string{"get", "configmap", "settings", "-o", "jsonpath={.data.greeting}"}},
	}
	for name, tc := range owned {
		t.Run("Owned"+name, func(t *testing.T) {
			want := onMember.kubectl(t, tc.read...)
			onMember.kubectl(t, tc.edit...)
			edited := time.Now()
			eventually(t, driftCorrection, "the edit to be undone: "+tc.reason, func(context.Context) error {
				out := onMember.tryKubectl(t, tc.read...)
				if out.code != 0 || out.stdout != want {
					return fmt.Errorf("want %q, got %q %s", want, out.stdout, out.stderr)
				}
				return nil
			})
			t.Logf("undone within %s", time.Since(edited).Round(10*time.Millisecond))
		})
	}

	s.checkForeignFields(t, m)
}

// checkForeignFields adds fields that the template does not have to an object in a
// member. They stay, also when the template changes.
func (s *space) checkForeignFields(t *testing.T, m *member) {
	t.Helper()
	const foreign = `{"metadata":{"annotations":{"example.com/note":"mine"},"labels":{"example.com/tier":"gold"}},"data":{"extra":"mine"}}`
	_, err := m.memberClient.CoreV1().ConfigMaps(s.namespace).Patch(t.Context(), "settings",
		types.MergePatchType, []byte(foreign), metav1.PatchOptions{FieldManager: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	check := func(ctx context.Context) error {
		got, err := m.memberClient.CoreV1().ConfigMaps(s.namespace).Get(ctx, "settings", metav1.GetOptions{})
		if err != nil {
			return err
		}
		return foreignFields(got)
	}
	throughout(t, driftCorrection, "fields of others in the member", check)

	s.kubectl(t, "patch", "configmap", "settings", "-p", `{"data":{"greeting":"good evening"}}`)
	eventually(t, propagation, "the member to get the template's change", func(ctx context.Context) error {
		got, err := m.memberClient.CoreV1().ConfigMaps(s.namespace).Get(ctx, "settings", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if got.Data["greeting"] != "good evening" {
			return fmt.Errorf("data is %v", got.Data)
		}
		return nil
	})
	if err := check(t.Context()); err != nil {
		t.Errorf("after a change of the template: %v", err)
	}
}

func foreignFields(got *corev1.ConfigMap) error {
	var lost []string
	if got.Annotations["example.com/note"] != "mine" {
		lost = append(lost, "annotation")
	}
	if got.Labels["example.com/tier"] != "gold" {
		lost = append(lost, "label")
	}
	if got.Data["extra"] != "mine" {
		lost = append(lost, "data")
	}
	if len(lost) > 0 {
		return fmt.Errorf("somebody else's fields are gone: %s", strings.Join(lost, ", "))
	}
	return nil
}
