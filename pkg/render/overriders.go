// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// applyOverriders applies the overriders of an override to the object of a member,
// in the order of the API, and returns the result, which may share memory with the
// object. After an error the object is not to be used.
func applyOverriders(object map[string]any, kind schema.GroupKind, override *workv1alpha1.ResolvedOverride, cluster string) (map[string]any, error) {
	overriders := &override.Overriders
	for i := range overriders.ImageOverrider {
		if err := overrideImages(object, kind, &overriders.ImageOverrider[i]); err != nil {
			return nil, fmt.Errorf("imageOverrider[%d]: %w", i, err)
		}
	}
	for i := range overriders.CommandOverrider {
		if err := overrideStrings(object, kind, "command", &overriders.CommandOverrider[i]); err != nil {
			return nil, fmt.Errorf("commandOverrider[%d]: %w", i, err)
		}
	}
	for i := range overriders.ArgsOverrider {
		if err := overrideStrings(object, kind, "args", &overriders.ArgsOverrider[i]); err != nil {
			return nil, fmt.Errorf("argsOverrider[%d]: %w", i, err)
		}
	}
	for i := range overriders.LabelsOverrider {
		if err := overrideMetadata(object, "labels", &overriders.LabelsOverrider[i]); err != nil {
			return nil, fmt.Errorf("labelsOverrider[%d]: %w", i, err)
		}
	}
	for i := range overriders.AnnotationsOverrider {
		if err := overrideMetadata(object, "annotations", &overriders.AnnotationsOverrider[i]); err != nil {
			return nil, fmt.Errorf("annotationsOverrider[%d]: %w", i, err)
		}
	}
	patched, err := applyPatches(object, overriders)
	if err != nil || overriders.Expression == "" {
		return patched, err
	}
	merged, err := applyExpression(patched, overriders.Expression, factsFor(override, cluster))
	if err != nil {
		return nil, fmt.Errorf("expression: %w", err)
	}
	return merged, nil
}

// applyPatches applies the overriders that work on JSON.
func applyPatches(object map[string]any, overriders *policyv1alpha1.Overriders) (map[string]any, error) {
	for i := range overriders.FieldOverrider {
		if err := overrideField(object, &overriders.FieldOverrider[i]); err != nil {
			return nil, fmt.Errorf("fieldOverrider[%d]: %w", i, err)
		}
	}
	if len(overriders.Plaintext) == 0 {
		return object, nil
	}
	operations := make([]operation, len(overriders.Plaintext))
	for i, overrider := range overriders.Plaintext {
		operations[i] = newOperation(overrider.Path, overrider.Operator, overrider.Value)
	}
	patched, err := patchObject(object, operations)
	if err != nil {
		return nil, fmt.Errorf("plaintext: %w", err)
	}
	return patched, nil
}

// overrideStrings changes the command or the arguments of a container, looked
// for among containers and init containers. A template without the container,
// or a kind without containers, is left as it is, so that one policy may select
// many templates.
func overrideStrings(object map[string]any, kind schema.GroupKind, field string, overrider *policyv1alpha1.CommandArgsOverrider) error {
	for _, container := range containers(object, kind) {
		if container["name"] != overrider.ContainerName {
			continue
		}
		values, _ := container[field].([]any)
		switch overrider.Operator {
		case policyv1alpha1.OverriderOpAdd:
			values = slices.Clone(values)
			for _, value := range overrider.Value {
				values = append(values, value)
			}
		case policyv1alpha1.OverriderOpRemove:
			values = slices.DeleteFunc(slices.Clone(values), func(value any) bool {
				text, ok := value.(string)
				return ok && slices.Contains(overrider.Value, text)
			})
		default:
			return fmt.Errorf("operator %q is unknown", overrider.Operator)
		}
		container[field] = values
		if len(values) == 0 {
			delete(container, field)
		}
	}
	return nil
}

// containers returns init containers and containers of a Pod or Pod template.
func containers(object map[string]any, kind schema.GroupKind) []map[string]any {
	spec := podSpec(object, kind)
	if spec == nil {
		return nil
	}
	return append(mapsAt(spec, "initContainers"), mapsAt(spec, "containers")...)
}

// overrideMetadata changes labels or annotations.
func overrideMetadata(object map[string]any, field string, overrider *policyv1alpha1.LabelAnnotationOverrider) error {
	present := mapAt(object, "metadata", field)
	for key, value := range overrider.Value {
		switch overrider.Operator {
		case policyv1alpha1.OverriderOpAdd:
		case policyv1alpha1.OverriderOpReplace:
			if _, exists := present[key]; !exists {
				continue
			}
		case policyv1alpha1.OverriderOpRemove:
			delete(present, key)
			continue
		default:
			return fmt.Errorf("operator %q is unknown", overrider.Operator)
		}
		if err := setLabel(object, []string{"metadata", field}, key, value); err != nil {
			return err
		}
	}
	dropEmptyMaps(object, "metadata."+field)
	return nil
}

// overrideImages changes the image of every container, or the one field the
// predicate names.
func overrideImages(object map[string]any, kind schema.GroupKind, overrider *policyv1alpha1.ImageOverrider) error {
	if overrider.Predicate != nil {
		return editString(object, overrider.Predicate.Path, func(reference string) (string, error) {
			return overrideImage(reference, overrider)
		})
	}
	for _, container := range containers(object, kind) {
		reference, ok := container["image"].(string)
		if !ok || reference == "" {
			continue
		}
		overridden, err := overrideImage(reference, overrider)
		if err != nil {
			return err
		}
		container["image"] = overridden
	}
	return nil
}

// overrideImage changes one part of an image reference.
func overrideImage(reference string, overrider *policyv1alpha1.ImageOverrider) (string, error) {
	parsed := parseImage(reference)
	var err error
	switch overrider.Component {
	case policyv1alpha1.Registry:
		parsed.registry, err = overrideText(parsed.registry, overrider)
	case policyv1alpha1.Repository:
		parsed.repository, err = overrideText(parsed.repository, overrider)
	case policyv1alpha1.Tag:
		var version string
		version, err = overrideText(parsed.version, overrider)
		parsed.setVersion(version)
	default:
		err = fmt.Errorf("component %q is unknown", overrider.Component)
	}
	if err != nil {
		return "", err
	}
	if parsed.repository == "" {
		return "", fmt.Errorf("image %q would have no repository", reference)
	}
	return parsed.String(), nil
}

func overrideText(text string, overrider *policyv1alpha1.ImageOverrider) (string, error) {
	switch overrider.Operator {
	case policyv1alpha1.OverriderOpAdd:
		return text + overrider.Value, nil
	case policyv1alpha1.OverriderOpReplace:
		return overrider.Value, nil
	case policyv1alpha1.OverriderOpRemove:
		return "", nil
	default:
		return "", fmt.Errorf("operator %q is unknown", overrider.Operator)
	}
}
