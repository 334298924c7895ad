// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/listwatch"
)

// memberRules are the questions a syncer asks about objects in members.
var memberRules = []interpreter.Rule{interpreter.Retention, interpreter.HealthInterpretation, interpreter.StatusReflection}

// followCustomizations mirrors the customizations of the fleet. A syncer goes on with
// those it knows, the built-in ones at first, while it may not read them.
func (s *Syncer) followCustomizations(ctx context.Context) {
	customizations := s.fleet.ConfigV1alpha1().ResourceInterpreterCustomizations()
	followFleet(ctx, "customizations", patient(listwatch.All(customizations), s.fleet, s.clock), &configv1alpha1.ResourceInterpreterCustomization{}, s.customizations, s.clock)
}

// cutCustomization leaves out of a customization what the syncer does not need.
func cutCustomization(object any) (*configv1alpha1.ResourceInterpreterCustomization, error) {
	customization, ok := object.(*configv1alpha1.ResourceInterpreterCustomization)
	if !ok {
		return nil, fmt.Errorf("read customization: unexpected type %T", object)
	}
	customization.ManagedFields, customization.Labels, customization.Annotations = nil, nil, nil
	return customization, nil
}

func (s *Syncer) customizationChanged(old, now *configv1alpha1.ResourceInterpreterCustomization, _ string) {
	if now == nil {
		s.interpretations.Delete(old.Name)
		return
	}
	s.interpretations.Put(now)
}

// interpretationsChanged tells the sessions of all members.
func (s *Syncer) interpretationsChanged(kinds []schema.GroupVersionKind) {
	s.mu.Lock()
	carriers := slices.Collect(maps.Values(s.carriers))
	s.mu.Unlock()
	for _, carrier := range carriers {
		carrier.interpretationsChanged(kinds)
	}
}
