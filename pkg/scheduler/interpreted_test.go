// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/scheduler/template"
)

var rollouts = schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}

const revision = `Object{spec: Object.spec{replicas: replicas}}`

// interpret serves Rollouts, read by an expression for their replicas.
func (h *harness) interpret(replicas string) {
	by := interpreter.New([]*configv1alpha1.ResourceInterpreterCustomization{{
		ObjectMeta: metav1.ObjectMeta{Name: "rollouts"},
		Spec: configv1alpha1.ResourceInterpreterCustomizationSpec{
			Target: configv1alpha1.CustomizationTarget{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout"},
			Customizations: configv1alpha1.CustomizationRules{
				ReplicaResource: &configv1alpha1.CustomizationRule{Expression: replicas},
				ReplicaRevision: &configv1alpha1.CustomizationRule{Expression: revision},
			},
		},
	}}, nil)
	h.fleet.define(rollouts, "rollouts", true)
	h.fleet.crds[rollouts.GroupKind()] = h.fleet.crds[rollouts.GroupKind()].Interpreted(by)
	h.OnListed(rollouts.GroupKind())
}

// withRollouts has a member serve them.
func withRollouts(c *clusterv1alpha1.Cluster) {
	c.Status.APIEnablements = append(slices.Clone(c.Status.APIEnablements), clusterv1alpha1.APIEnablement{
		GroupVersion: "argoproj.io/v1alpha1", Resources: []clusterv1alpha1.APIResource{{Name: "rollouts", Kind: "Rollout"}},
	})
}

// createRollout stores a Rollout as a Source would.
func (h *harness) createRollout(name string, replicas int64) template.Key {
	object := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "shop", "name": name}, "spec": map[string]any{"replicas": replicas},
	}}
	object.SetGroupVersionKind(rollouts)
	return h.put(rollouts, object, h.fleet.crds[rollouts.GroupKind()].Read(object))
}

func TestCustomResourcesAreDivided(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.interpret(`Replicas{replicas: object.spec.replicas}`)
		h.autoPolicy()
		h.member("m1", pods(10), withRollouts)
		h.member("m2", pods(10), withRollouts)
		config := h.create(configMap("config"))
		key := h.createRollout("web", 6)
		h.settle()
		h.want(key, "m1=3 m2=3", "It is divided as a Deployment is.")
		h.want(config, "m1 m2", "Its members are the footprint of its namespace.")
		spec := h.store.of(key).GetSpec()
		if spec.ReplicaRevision != revision || spec.Replicas != 6 {
			t.Errorf("what renders it is recorded, got %d replicas by %q", spec.Replicas, spec.ReplicaRevision)
		}
		h.createRollout("web", 8)
		h.settle()
		h.want(key, "m1=4 m2=4", "It is scaled.")
	})
}

func TestProblemsStayWithTheirTemplate(t *testing.T) {
	inBubble(t, func(h *harness) {
		expression := `Replicas{replicas: object.spec.replicas / (object.spec.replicas - 5)}`
		h.interpret(`Replicas{replicas: object.spec.replicas}`)
		h.autoPolicy()
		h.member("m1", pods(10), withRollouts)
		placed := h.createRollout("placed", 2)
		h.settle()
		h.interpret(expression)
		h.createRollout("placed", 5)
		bad, good := h.createRollout("bad", 5), h.createRollout("good", 6)
		h.settle()
		h.want(placed, "m1=2", "What is placed stays.")
		h.want(bad, "", "What cannot be read is not placed.")
		h.want(good, "m1=6", "Others are.")
		for _, key := range []template.Key{placed, bad} {
			condition := meta.FindStatusCondition(h.store.of(key).GetStatus().Conditions, workv1alpha1.ConditionScheduled)
			if condition == nil || condition.Status != metav1.ConditionFalse || condition.Reason != workv1alpha1.ReasonSchedulerError ||
				!strings.Contains(condition.Message, `interpret replicaResource of Rollout.argoproj.io by customization "rollouts": division by zero`) {
				t.Errorf("%s: the binding says why, got %+v", key, condition)
			}
		}
		h.store.takeWrites()
		h.member("m2", pods(10), withRollouts)
		h.settle()
		h.wantWrites(0, "What cannot be read is not tried again and again.")
		h.createRollout("bad", 4)
		h.settle()
		h.interpret(`Replicas{replicas: object.spec.replicas}`)
		h.createRollout("placed", 5)
		h.settle()
		if got := h.store.of(placed).GetSpec().Replicas; got != 5 {
			t.Errorf("a better rule places it, got %d replicas", got)
		}
	})
}
