// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter/store"
	"fleet.dev/fleet/pkg/member/fake"
)

// widgets says how to read Widgets; an empty expression answers nothing.
func widgets(health, reflection, retention string) *configv1alpha1.ResourceInterpreterCustomization {
	rule := func(text string) *configv1alpha1.CustomizationRule {
		if text == "" {
			return nil
		}
		return &configv1alpha1.CustomizationRule{Expression: text}
	}
	return &configv1alpha1.ResourceInterpreterCustomization{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets"},
		Spec: configv1alpha1.ResourceInterpreterCustomizationSpec{
			Target: configv1alpha1.CustomizationTarget{APIVersion: "example.com/v1", Kind: "Widget"},
			Customizations: configv1alpha1.CustomizationRules{
				HealthInterpretation: rule(health), StatusReflection: rule(reflection), Retention: rule(retention),
			},
		},
	}
}

// newWidgetRig is a rig whose member serves Widgets.
func newWidgetRig(t *testing.T) *rig {
	t.Helper()
	r := newIdleRig(t)
	r.member.Serve(widget)
	r.start()
	r.interpretations.Listen(store.Listener{Rules: memberRules, Changed: r.session.interpretationsChanged})
	return r
}

func setField(value any, path ...string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(object.Object, value, path...)
	}
}

func TestCustomizationsReadObjects(t *testing.T) {
	t.Parallel()
	r := newWidgetRig(t)
	r.want("w", `{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: default}, spec: {size: 3}}`)
	r.await("w", "it is applied", applied)
	r.member.Edit(t, "Widget", "default", "w", setField(map[string]any{"ready": int64(1), "detail": "long"}, "status"))
	steps := []struct {
		reason  string
		do      func()
		health  workv1alpha1.ResourceHealth
		status  string
		applied string
		message string
	}{
		{
			reason: "Without customization the rule for all kinds holds.", do: func() {},
			health: workv1alpha1.ResourceHealthy, status: `{"detail":"long","ready":1}`, applied: workv1alpha1.AppliedReasonSuccess,
		},
		{
			reason: "A customization is in use at once.",
			do: func() {
				r.interpretations.Put(widgets(`object.status.ready == object.spec.size`, `{"ready": object.status.ready}`, ""))
			},
			health: workv1alpha1.ResourceUnhealthy, status: `{"ready":1}`, applied: workv1alpha1.AppliedReasonSuccess,
		},
		{
			reason: "A change of the object is read by it.",
			do:     func() { r.member.Edit(t, "Widget", "default", "w", setField(int64(3), "status", "ready")) },
			health: workv1alpha1.ResourceHealthy, status: `{"ready":3}`, applied: workv1alpha1.AppliedReasonSuccess,
		},
		{
			reason: "One that fails is told, and what it was asked is not known.",
			do: func() {
				r.interpretations.Put(widgets(`object.status.phase == "Up"`, `{"ready": object.status.ready}`, ""))
			},
			health: workv1alpha1.ResourceUnknown, status: `{"ready":3}`, applied: workv1alpha1.AppliedReasonNotInterpreted,
			message: `interpret healthInterpretation of Widget.example.com by customization "widgets": no such key: phase`,
		},
		{
			reason: "So is one for the status.",
			do:     func() { r.interpretations.Put(widgets(`true`, `{"phase": object.status.phase}`, "")) },
			health: workv1alpha1.ResourceHealthy, applied: workv1alpha1.AppliedReasonNotInterpreted,
			message: `interpret statusReflection of Widget.example.com by customization "widgets": no such key: phase`,
		},
		{
			reason: "Without it the rule for all kinds holds again.", do: func() { r.interpretations.Delete("widgets") },
			health: workv1alpha1.ResourceHealthy, status: `{"detail":"long","ready":3}`, applied: workv1alpha1.AppliedReasonSuccess,
		},
	}
	r.countAnew()
	for _, step := range steps {
		step.do()
		r.await("w", step.reason, func(item workv1alpha1.FeedbackItem) bool {
			status := ""
			if item.Status != nil {
				status = string(item.Status.Raw)
			}
			return item.Applied && item.Health == step.health && status == step.status &&
				item.AppliedReason == step.applied && item.AppliedMessage == step.message
		})
	}
	if writes := r.member.Writes(); writes != 0 {
		t.Errorf("reading writes nothing to the member, got %d writes", writes)
	}
}

func TestCustomizationsRetain(t *testing.T) {
	t.Parallel()
	const manifest = `{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: default}, spec: {size: 3, mode: %s}}`
	r := newWidgetRig(t)
	r.interpretations.Put(widgets("", "", `Object{spec: Object.spec{size: observed.spec.size}}`))
	r.want("w", fmt.Sprintf(manifest, "a"))
	r.await("w", "it is applied", applied)
	has := func(size int64, mode string) func() error {
		return func() error {
			spec, _, _ := unstructured.NestedMap(r.member.Get("Widget", "default", "w").Object, "spec")
			if spec["size"] != size || spec["mode"] != mode {
				return fmt.Errorf("it is %v", spec)
			}
			return nil
		}
	}
	r.eventually("the object to be as the work says", has(3, "a"))
	r.countAnew()
	r.member.Edit(t, "Widget", "default", "w", setField(int64(5), "spec", "size"))
	r.settle()
	if err := has(5, "a")(); err != nil || r.member.Writes() != 0 {
		t.Errorf("what is retained is nobody's drift: %v, %d writes", err, r.member.Writes())
	}
	r.want("w", fmt.Sprintf(manifest, "bb"))
	r.eventually("the rest to be as the work says", has(5, "bb"))

	r.settle()
	r.interpretations.Put(widgets("", "", `Object{spec: Object.spec{size: observed.spec.count}}`))
	r.await("w", "why it cannot be applied", func(item workv1alpha1.FeedbackItem) bool {
		return !item.Applied && item.AppliedReason == workv1alpha1.AppliedReasonInvalid && strings.Contains(item.AppliedMessage, "interpret retention of Widget")
	})
	if err := has(5, "bb")(); err != nil {
		t.Errorf("an object is not applied without what it is to keep: %v", err)
	}
	r.interpretations.Delete("widgets")
	r.eventually("nothing to be retained any more", has(3, "bb"))
}

func TestSyncerTellsItsSessions(t *testing.T) {
	t.Parallel()
	r := newWidgetRig(t)
	s := &Syncer{carriers: map[string]*session{"one": r.session}, interpretations: r.interpretations}
	r.want("w", widgetManifest)
	r.await("w", "it is applied", applied)
	s.interpretations.Listen(store.Listener{Rules: memberRules, Changed: s.interpretationsChanged})
	s.customizationChanged(nil, widgets("false", "", ""), "1")
	r.await("w", "it is unhealthy", func(item workv1alpha1.FeedbackItem) bool { return item.Health == workv1alpha1.ResourceUnhealthy })
	s.customizationChanged(widgets("false", "", ""), nil, "2")
	r.await("w", "it is healthy", func(item workv1alpha1.FeedbackItem) bool { return item.Health == workv1alpha1.ResourceHealthy })
	if _, err := cutCustomization(fake.Manifest(t, widgetManifest)); err == nil {
		t.Error("another object is no customization")
	}
}
