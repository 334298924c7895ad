// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/pkg/render"
)

// Find reads the object that KIND/NAME names in the member.
func (m *Member) Find(ctx context.Context, namespace, kind, name string) (*unstructured.Unstructured, *meta.RESTMapping, error) {
	full, short := schema.ParseResourceArg(kind)
	if full == nil {
		full = &schema.GroupVersionResource{Group: short.Group, Resource: short.Resource}
	}
	version, err := m.mapper().KindFor(*full)
	if err != nil {
		return nil, nil, fmt.Errorf("find kind %q in member %q: %w", kind, m.Name, err)
	}
	mapping, err := m.mapper().RESTMapping(version.GroupKind(), version.Version)
	if err != nil {
		return nil, nil, fmt.Errorf("find kind %q in member %q: %w", kind, m.Name, err)
	}
	object, err := in(m.Objects, mapping, namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("get %s %q from member %q: %w", kind, name, m.Name, err)
	}
	return object, mapping, nil
}

// in returns the objects of a kind in the namespace, or those without one.
func in(objects dynamic.Interface, mapping *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return objects.Resource(mapping.Resource)
	}
	return objects.Resource(mapping.Resource).Namespace(namespace)
}

// errOfFleet says that an object has an owner already.
var errOfFleet = errors.New("it belongs to another fleet")

// Template makes of an object that runs in a member the template that stands for
// it: as its author wrote it, without what the member's API server and controllers
// added. It fails when the object is another fleet's, or belongs to another object.
func Template(object *unstructured.Unstructured, fleetID string) (*unstructured.Unstructured, error) {
	describe := object.GetKind() + " " + object.GetName()
	if owner := object.GetLabels()[wellknown.LabelManagedBy]; owner != "" && owner != fleetID {
		return nil, fmt.Errorf("promote %s: %w, %s", describe, errOfFleet, owner)
	}
	if controller := metav1.GetControllerOf(object); controller != nil {
		return nil, fmt.Errorf("promote %s: it belongs to %s %s; promote that", describe, controller.Kind, controller.Name)
	}
	template, err := render.Strip(object)
	if err != nil {
		return nil, fmt.Errorf("promote %s: %w", describe, err)
	}
	for field, values := range map[string]map[string]string{"labels": template.GetLabels(), "annotations": template.GetAnnotations()} {
		for key := range values {
			if strings.HasPrefix(key, wellknown.Domain+"/") {
				unstructured.RemoveNestedField(template.Object, "metadata", field, key)
			}
		}
	}
	return template, nil
}

// policyName is the name of the policy that keeps a promoted object where it runs.
func policyName(template *unstructured.Unstructured) string {
	return workv1alpha1.BindingNameForGroupKind(template.GroupVersionKind().GroupKind(), template.GetName())
}

// Keep makes the policy that places a template on the one member, as it is and only
// if nothing changes there. It is there before the template, so that this runs
// nowhere else.
func Keep(ctx context.Context, fleet fleetclient.Interface, template *unstructured.Unstructured, cluster string) (name string, err error) {
	name = policyName(template)
	spec := policyv1alpha1.PropagationSpec{
		ResourceSelectors: []policyv1alpha1.ResourceSelector{{
			APIVersion: template.GetAPIVersion(), Kind: template.GetKind(), Namespace: template.GetNamespace(), Name: template.GetName(),
		}},
		ConflictResolution: policyv1alpha1.ConflictIfNoDiff,
		Placement:          policyv1alpha1.Placement{ClusterAffinity: &policyv1alpha1.ClusterAffinity{ClusterNames: []string{cluster}}},
	}
	err = create(ctx, fleet, template.GetNamespace(), name, spec)
	if apierrors.IsAlreadyExists(err) {
		// It may have been promoted before, and released since.
		err = checkKeeps(ctx, fleet, template.GetNamespace(), name, spec)
	}
	if err != nil {
		return "", fmt.Errorf("create the policy %q that keeps it on member %q: %w", name, cluster, err)
	}
	return name, nil
}

// create makes a policy in a namespace, or a cluster policy.
func create(ctx context.Context, fleet fleetclient.Interface, namespace, name string, spec policyv1alpha1.PropagationSpec) error {
	if namespace == "" {
		made := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
		_, err := fleet.PolicyV1alpha1().ClusterPropagationPolicies().Create(ctx, made, metav1.CreateOptions{})
		return err
	}
	made := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: spec}
	_, err := fleet.PolicyV1alpha1().PropagationPolicies(namespace).Create(ctx, made, metav1.CreateOptions{})
	return err
}

// errOtherPolicy says that there is a policy of the name that places otherwise.
var errOtherPolicy = errors.New("a policy of that name exists and says something else; delete it, or rename it")

// checkKeeps checks that the policy there is places as the one that is wanted.
func checkKeeps(ctx context.Context, fleet fleetclient.Interface, namespace, name string, want policyv1alpha1.PropagationSpec) error {
	var policy policyv1alpha1.Propagation
	var err error
	if namespace == "" {
		policy, err = fleet.PolicyV1alpha1().ClusterPropagationPolicies().Get(ctx, name, metav1.GetOptions{})
	} else {
		policy, err = fleet.PolicyV1alpha1().PropagationPolicies(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	is := policy.GetSpec()
	if !equality.Semantic.DeepEqual(is.ResourceSelectors, want.ResourceSelectors) || !equality.Semantic.DeepEqual(is.Placement, want.Placement) ||
		is.ConflictResolution != want.ConflictResolution {
		return errOtherPolicy
	}
	return nil
}

// Adopt creates the template in the fleet, and its namespace if there is none.
func Adopt(ctx context.Context, objects dynamic.Interface, template *unstructured.Unstructured, mapping *meta.RESTMapping) error {
	_, err := in(objects, mapping, template.GetNamespace()).Create(ctx, template, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create %s %q in the fleet: %w", template.GetKind(), template.GetName(), err)
	}
	return nil
}

// EnsureNamespace makes sure that the fleet has the namespace.
func EnsureNamespace(ctx context.Context, objects dynamic.Interface, name string) error {
	namespaces := objects.Resource(corev1.SchemeGroupVersion.WithResource("namespaces"))
	_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		made := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}}}
		_, err = namespaces.Create(ctx, made, metav1.CreateOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("ensure namespace %q in the fleet: %w", name, err)
	}
	return nil
}
