// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package interpreter

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/common/types/ref"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Dependency is what has to be where an object is: one object, or all with labels.
type Dependency struct {
	// APIVersion of its kind.
	APIVersion string `json:"apiVersion"`
	// Kind of it.
	Kind string `json:"kind"`
	// Namespace of it, empty when it has none.
	Namespace string `json:"namespace,omitempty"`
	// Name of it; empty with a LabelSelector.
	Name string `json:"name,omitempty"`
	// LabelSelector of all that are meant, nil with a Name.
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
}

// Errors for dependencies that name nothing.
var (
	errNoKind   = errors.New("apiVersion and kind have to be set")
	errNoObject = errors.New("either name or labelSelector has to be set")
)

func (d *Dependency) check() error {
	switch {
	case d.APIVersion == "" || d.Kind == "":
		return errNoKind
	case (d.Name == "") == (d.LabelSelector == nil):
		return errNoObject
	case d.LabelSelector == nil:
		return nil
	}
	_, err := metav1.LabelSelectorAsSelector(d.LabelSelector)
	return err
}

// Dependencies returns what has to be where the object is.
func (i *Interpreter) Dependencies(object *unstructured.Unstructured) (dependencies []Dependency, ok bool, err error) {
	ok, err = i.ask(DependencyInterpretation, object, nil, func(result ref.Val) error {
		if dependencies, err = decodeList[Dependency](result); err != nil {
			return err
		}
		for n := range dependencies {
			if err := dependencies[n].check(); err != nil {
				return fmt.Errorf("item %d: %w", n, err)
			}
		}
		return nil
	})
	if !ok || err != nil {
		return nil, false, err
	}
	return dependencies, true, nil
}
