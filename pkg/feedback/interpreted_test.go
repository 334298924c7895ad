// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/feedback"
	"fleet.dev/fleet/pkg/interpreter"
)

// counting makes the status of Rollouts.
func counting(text string) *interpreter.Interpreter {
	return interpreter.New([]*configv1alpha1.ResourceInterpreterCustomization{{
		ObjectMeta: metav1.ObjectMeta{Name: "rollouts"},
		Spec: configv1alpha1.ResourceInterpreterCustomizationSpec{
			Target:         configv1alpha1.CustomizationTarget{APIVersion: "apps.example.com/v1", Kind: "Rollout"},
			Customizations: configv1alpha1.CustomizationRules{StatusAggregation: &configv1alpha1.CustomizationRule{Expression: text}},
		},
	}}, nil)
}

func TestCustomizationsMakeStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			good = `Object.status{readyReplicas: items.map(i, int(i.status.readyReplicas)).sum()}`
			bad  = `Object.status{readyReplicas: items.map(i, int(i.status.nothing)).sum()}`
		)
		store := newEtcd()
		binding, template := bindingOf("a", "b"), deploymentOf(4)
		binding.Spec.Resource.APIVersion, binding.Spec.Resource.Kind = "apps.example.com/v1", "Rollout"
		template.SetAPIVersion("apps.example.com/v1")
		template.SetKind("Rollout")
		store.putBinding(binding)
		store.putTemplate(template)
		by := counting(good)
		intake, stop := run(t, &server{etcd: store}, func(o *feedback.Options) {
			o.Interpreter = func() *interpreter.Interpreter { return by }
		})
		defer stop()
		report := func(member string, n int) {
			t.Helper()
			results, err := intake.Accept(t.Context(), member, []workv1alpha1.FeedbackItem{ready(n)})
			if err != nil || !results[0].Accepted {
				t.Fatalf("a report is taken whatever becomes of the template: %v, %v", results, err)
			}
			synctest.Wait()
		}
		interpret := func(now *interpreter.Interpreter) {
			by = now
			intake.Reinterpret([]schema.GroupVersionKind{{Group: "apps.example.com", Version: "v1", Kind: "Rollout"}})
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		want := func(reason string, replicas int64, problem string) {
			t.Helper()
			if got := readyReplicas(store.template("web")); got != replicas {
				t.Errorf("%s: want %d, got %d", reason, replicas, got)
			}
			condition := meta.FindStatusCondition(store.binding(web).Status.Conditions, workv1alpha1.ConditionStatusComplete)
			if (condition == nil) != (problem == "") || condition != nil && (condition.Reason != "NotInterpreted" || !strings.Contains(condition.Message, problem)) {
				t.Errorf("%s: want %q, got %+v", reason, problem, condition)
			}
		}
		report("a", 1)
		report("b", 2)
		want("both are added", 3, "")
		interpret(counting(bad))
		want("an expression that fails leaves the status, and is told", 3, `by customization "rollouts": no such key: nothing; the status of the template stays as it was`)
		writes := store.count(store.writes, "binding")
		interpret(by)
		if again := store.count(store.writes, "binding"); again != writes {
			t.Errorf("to fail again is no news: %d writes more", again-writes)
		}
		report("a", 2)
		want("a report changes nothing of that", 3, "no such key: nothing")
		interpret(counting(good))
		want("a better one is in use without a report", 4, "")
	})
}
