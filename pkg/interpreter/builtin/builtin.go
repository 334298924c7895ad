// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"bufio"
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
)

//go:embed customizations/*.yaml
var files embed.FS

// Customizations returns the built-in customizations. Callers must not change them.
var Customizations = sync.OnceValues(func() ([]*configv1alpha1.ResourceInterpreterCustomization, error) {
	names, err := fs.Glob(files, "customizations/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list built-in customizations: %w", err)
	}
	var all []*configv1alpha1.ResourceInterpreterCustomization
	for _, name := range names {
		content, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read built-in customizations: %w", err)
		}
		found, err := decode(content)
		if err != nil {
			return nil, fmt.Errorf("read built-in customizations %s: %w", name, err)
		}
		all = append(all, found...)
	}
	return all, nil
})

func decode(content []byte) ([]*configv1alpha1.ResourceInterpreterCustomization, error) {
	var found []*configv1alpha1.ResourceInterpreterCustomization
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		customization := &configv1alpha1.ResourceInterpreterCustomization{}
		if err := yaml.UnmarshalStrict(document, customization); err != nil {
			return nil, err
		}
		if customization.Name != "" {
			found = append(found, customization)
		}
	}
}
