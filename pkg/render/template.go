// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Template is a template made ready for any number of members: stripped of what
// stays in the fleet, its Pod template hashed. It is immutable.
type Template struct {
	object     map[string]any
	kind       schema.GroupKind
	uid        types.UID
	generation int64
	hash       string // of the Pod template, "" for kinds without one
	node       string // that a Pod was made for, "" for none
	grace      *int64 // that a Pod which is being deleted gets, nil for its own
	// members are those whose nodes it may name.
	members map[string]bool
	owners  []any // references to the templates that own it
	// versions are the template in other API versions.
	versions map[string]Version
}

// Version is a template in another API version, or why it cannot be brought to it.
type Version struct {
	// Template in the version. Nil when there is an error.
	Template *Template
	// Err that kept the template from being converted.
	Err error
}

// WithVersions returns the template with others that are the same object in other API
// versions, by version.
func (t *Template) WithVersions(versions map[string]Version) *Template {
	if t == nil || len(versions) == 0 {
		return t
	}
	out := *t
	out.versions = versions
	return &out
}

// forMember returns the template in the version that a member gets, and its name when it is
// not the template's own.
func (t *Template) forMember(spec *workv1alpha1.BindingSpec, cluster string) (template *Template, version string, err error) {
	for i := range spec.Versions {
		if !slices.Contains(spec.Versions[i].Clusters, cluster) {
			continue
		}
		version = spec.Versions[i].APIVersion
		other, ok := t.versions[version]
		if !ok {
			return nil, version, fmt.Errorf("render for member %q: there is no %s %q in %s", cluster, t.kind.Kind, spec.Resource.Name, version)
		}
		return other.Template, version, other.Err
	}
	return t, "", nil
}

// apiVersion the template is in.
func (t *Template) apiVersion() string {
	version, _ := t.object["apiVersion"].(string)
	return version
}

// Prepare makes a template ready. The object is in its served, external version
// and is not changed. It fails on objects without apiVersion, kind or name.
func Prepare(object *unstructured.Unstructured) (*Template, error) {
	gvk := object.GroupVersionKind()
	if gvk.Version == "" || gvk.Kind == "" || object.GetName() == "" {
		return nil, fmt.Errorf("prepare template %q: apiVersion, kind and name have to be set", object.GetName())
	}
	template := &Template{
		object:     runtime.DeepCopyJSON(object.Object),
		kind:       gvk.GroupKind(),
		uid:        object.GetUID(),
		generation: object.GetGeneration(),
	}
	template.owners = ownersOf(object)
	if template.kind == podKind {
		template.node, _, _ = unstructured.NestedString(object.Object, "spec", "nodeName")
		template.grace = graceOf(object)
	}
	template.members = membersNamed(podSpec(template.object, template.kind))
	strip(template.object, template.kind)
	stripPodTemplate(template.object, template.kind)
	hash, err := hashPodTemplate(template.object, template.kind)
	if err != nil {
		return nil, fmt.Errorf("prepare %s %q: %w", gvk.Kind, object.GetName(), err)
	}
	template.hash = hash
	return template, nil
}

// graceOf returns how many seconds a Pod that is being deleted gets, nil when that is
// what it says of itself. One that is there for its finalizers alone has none left, which
// says nothing about its containers: nobody may have asked the member yet.
func graceOf(pod *unstructured.Unstructured) *int64 {
	grace := pod.GetDeletionGracePeriodSeconds()
	if grace == nil || *grace == 0 || pod.GetDeletionTimestamp() == nil {
		return nil
	}
	if own, ok, _ := unstructured.NestedInt64(pod.Object, "spec", "terminationGracePeriodSeconds"); ok && own == *grace {
		return nil
	}
	return grace
}

// ownersOf returns references to the owners of a template. The syncer makes of them
// references to what the owners are in the member. What blocks the deletion of a
// template blocks nothing there.
func ownersOf(object *unstructured.Unstructured) []any {
	var owners []any
	for _, reference := range object.GetOwnerReferences() {
		owner := map[string]any{
			"apiVersion": reference.APIVersion, "kind": reference.Kind, "name": reference.Name, "uid": string(reference.UID),
		}
		if reference.Controller != nil {
			owner["controller"] = *reference.Controller
		}
		owners = append(owners, owner)
	}
	return owners
}

// Strip returns a copy of an object of any cluster as its author wrote it: without
// what stays behind when it is carried elsewhere. It fails as Prepare does.
func Strip(object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	template, err := Prepare(object)
	if err != nil {
		return nil, err
	}
	return &unstructured.Unstructured{Object: template.object}, nil
}

// isOf says whether the template is the one a binding decided upon. Bindings
// made by hand may leave out the uid.
func (t *Template) isOf(spec *workv1alpha1.BindingSpec) bool {
	return t != nil && (spec.Resource.UID == "" || spec.Resource.UID == t.uid)
}
