// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// Fleet is what is asked.
type Fleet struct {
	// Objects of any kind.
	Objects dynamic.Interface
	// Kinds by the names people use.
	Kinds meta.RESTMapper
	// Own kinds of the fleet.
	Own fleetclient.Interface
}

// Target is the object in question.
type Target struct {
	// Object as it is in the fleet.
	Object *unstructured.Unstructured
	// Kind of the object.
	Kind *meta.RESTMapping
	// Binding of the object, nil when it has none.
	Binding workv1alpha1.Binding
}

// String names the target for people.
func (t *Target) String() string {
	name := t.Object.GetName()
	if t.Object.GetNamespace() != "" {
		name = t.Object.GetNamespace() + "/" + name
	}
	return t.Kind.GroupVersionKind.Kind + " " + name
}

// errNoTarget says how to name an object.
var errNoTarget = errors.New("name one object, as KIND/NAME or KIND NAME")

// Find reads the object that the arguments of a command name: KIND/NAME, or KIND and
// NAME.
func (f *Fleet) Find(ctx context.Context, namespace string, args ...string) (*Target, error) {
	if len(args) == 1 {
		kind, name, ok := strings.Cut(args[0], "/")
		if !ok {
			return nil, errNoTarget
		}
		args = []string{kind, name}
	}
	if len(args) != 2 || args[0] == "" || args[1] == "" {
		return nil, errNoTarget
	}
	mapping, err := f.mapping(args[0])
	if err != nil {
		return nil, err
	}
	target := &Target{Kind: mapping}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		namespace = ""
	}
	if target.Object, err = f.Objects.Resource(mapping.Resource).Namespace(namespace).Get(ctx, args[1], metav1.GetOptions{}); err != nil {
		return nil, fmt.Errorf("get %s: %w", args[0], err)
	}
	target.Binding, err = f.binding(ctx, namespace, workv1alpha1.BindingNameForGroupKind(mapping.GroupVersionKind.GroupKind(), args[1]))
	return target, err
}

func (f *Fleet) mapping(kind string) (*meta.RESTMapping, error) {
	full, short := schema.ParseResourceArg(kind)
	if full == nil {
		full = &schema.GroupVersionResource{Group: short.Group, Resource: short.Resource}
	}
	version, err := f.Kinds.KindFor(*full)
	if meta.IsNoMatchError(err) {
		version, err = f.Kinds.KindFor(short.WithVersion(""))
	}
	if err != nil {
		return nil, fmt.Errorf("find kind %q: %w", kind, err)
	}
	mapping, err := f.Kinds.RESTMapping(version.GroupKind(), version.Version)
	if err != nil {
		return nil, fmt.Errorf("find kind %q: %w", kind, err)
	}
	return mapping, nil
}

func (f *Fleet) binding(ctx context.Context, namespace, name string) (workv1alpha1.Binding, error) {
	var binding workv1alpha1.Binding
	var err error
	if namespace == "" {
		binding, err = f.Own.WorkV1alpha1().ClusterResourceBindings().Get(ctx, name, metav1.GetOptions{})
	} else {
		binding, err = f.Own.WorkV1alpha1().ResourceBindings(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get binding %q: %w", name, err)
	default:
		return binding, nil
	}
}
