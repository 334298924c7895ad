// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
	"fleet.dev/fleet/pkg/generated/informers/externalversions"
	"fleet.dev/fleet/pkg/interpreter"
)

var databases = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Database"}

func customization(name, health, replicas string, generation int64) *configv1alpha1.ResourceInterpreterCustomization {
	rules := configv1alpha1.CustomizationRules{HealthInterpretation: &configv1alpha1.CustomizationRule{Expression: health}}
	if replicas != "" {
		rules.ReplicaResource = &configv1alpha1.CustomizationRule{Expression: replicas}
	}
	return &configv1alpha1.ResourceInterpreterCustomization{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: generation},
		Spec: configv1alpha1.ResourceInterpreterCustomizationSpec{
			Target:         configv1alpha1.CustomizationTarget{APIVersion: "example.com/v1", Kind: "Database"},
			Customizations: rules,
		},
	}
}

func TestStore(t *testing.T) {
	s := New([]*configv1alpha1.ResourceInterpreterCustomization{customization("builtin", "true", `Replicas{replicas: 1}`, 1)})
	var told []string
	s.Listen(Listener{
		Rules: []interpreter.Rule{interpreter.ReplicaResource},
		Changed: func(kinds []schema.GroupVersionKind) {
			for _, kind := range kinds {
				text, _ := s.Interpreter().Expression(kind, interpreter.ReplicaResource)
				told = append(told, kind.Kind+" "+text)
			}
		},
	})
	steps := []struct {
		reason string
		do     func()
		health string
		told   []string
	}{
		{reason: "Built-in rules apply at first.", do: func() {}, health: "true"},
		{reason: "A rule nobody here asks is no news.", do: func() { s.added(customization("mine", "false", "", 1)) }, health: "false"},
		{
			reason: "One that is asked is.", do: func() { s.added(customization("mine", "false", `Replicas{replicas: 2}`, 2)) },
			health: "false", told: []string{"Database Replicas{replicas: 2}"},
		},
		{reason: "The same generation is known.", do: func() { s.added(customization("mine", "false", `Replicas{replicas: 3}`, 2)) }, health: "false"},
		{
			reason: "Without the user's the built-in ones apply again.",
			do:     func() { s.deleted(cache.DeletedFinalStateUnknown{Obj: customization("mine", "", "", 2)}) },
			health: "true", told: []string{"Database Replicas{replicas: 1}"},
		},
		{reason: "Other objects are none.", do: func() { s.added("x"); s.deleted("x") }, health: "true"},
	}
	for _, step := range steps {
		told = nil
		step.do()
		health, _ := s.Interpreter().Expression(databases, interpreter.HealthInterpretation)
		if health != step.health {
			t.Errorf("%s: want health %q, got %q", step.reason, step.health, health)
		}
		if diff := cmp.Diff(step.told, told); diff != "" {
			t.Errorf("%s: -want, +got:\n%s", step.reason, diff)
		}
	}
}

func TestFollow(t *testing.T) {
	factory := externalversions.NewSharedInformerFactory(fake.NewClientset(customization("mine", "false", "", 1)), 0)
	s := New(nil)
	synced, err := s.Follow(factory.Config().V1alpha1().ResourceInterpreterCustomizations().Informer())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), synced) {
		t.Fatal("the informer does not sync")
	}
	if health, name := s.Interpreter().Expression(databases, interpreter.HealthInterpretation); health != "false" || name != "mine" {
		t.Errorf("Expression(...): %q of %q", health, name)
	}
}
