// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpret

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/apis/config"
	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/registry/config/resourceinterpretercustomization"
)

// Input is what files hold.
type Input struct {
	// Objects to ask about.
	Objects []*unstructured.Unstructured
	// Customizations to ask, before the built-in ones.
	Customizations []*configv1alpha1.ResourceInterpreterCustomization
	// Observed are the objects in members, by the name of the member.
	Observed map[string][]*unstructured.Unstructured
}

// Read takes in a file of objects and customizations, in YAML or JSON. It fails on a
// customization that the server would refuse.
func (in *Input) Read(file string, from io.Reader) error {
	return documents(file, from, func(document []byte, object *unstructured.Unstructured) error {
		if object.GroupVersionKind() != configv1alpha1.SchemeGroupVersion.WithKind("ResourceInterpreterCustomization") {
			in.Objects = append(in.Objects, object)
			return nil
		}
		customization, err := customizationOf(document)
		if err != nil {
			return err
		}
		in.Customizations = append(in.Customizations, customization)
		return nil
	})
}

// ReadObserved takes in a file of objects as they are in a member.
func (in *Input) ReadObserved(member, file string, from io.Reader) error {
	return documents(file, from, func(_ []byte, object *unstructured.Unstructured) error {
		if in.Observed == nil {
			in.Observed = map[string][]*unstructured.Unstructured{}
		}
		in.Observed[member] = append(in.Observed[member], object)
		return nil
	})
}

// documents calls take with each document of a file that is not empty.
func documents(file string, from io.Reader, take func(document []byte, object *unstructured.Unstructured) error) error {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(from))
	for n := 1; ; n++ {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = takeOne(document, take)
		}
		if err != nil {
			return fmt.Errorf("read %s, document %d: %w", file, n, err)
		}
	}
}

func takeOne(document []byte, take func(document []byte, object *unstructured.Unstructured) error) error {
	raw, err := yaml.YAMLToJSON(document)
	if err != nil {
		return err
	}
	if string(raw) == "null" {
		return nil
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(raw); err != nil {
		return err
	}
	return take(document, object)
}

func customizationOf(document []byte) (*configv1alpha1.ResourceInterpreterCustomization, error) {
	customization := &configv1alpha1.ResourceInterpreterCustomization{}
	if err := yaml.UnmarshalStrict(document, customization); err != nil {
		return nil, err
	}
	internal := &config.ResourceInterpreterCustomization{}
	if err := configv1alpha1.Convert_v1alpha1_ResourceInterpreterCustomization_To_config_ResourceInterpreterCustomization(customization, internal, nil); err != nil {
		return nil, err
	}
	if errs := resourceinterpretercustomization.Validate(internal); len(errs) > 0 {
		return nil, fmt.Errorf("customization %q: %w", customization.Name, errs.ToAggregate())
	}
	return customization, nil
}
