// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"errors"
	"fmt"
	"hash/maphash"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
)

// target is the member's object a work is about.
type target struct {
	kind      schema.GroupVersionKind
	namespace string
	name      string
}

// targetOf reads the target of a work, tombstones included.
func targetOf(work *workv1alpha1.Work) target {
	template := work.Spec.Template
	return target{
		kind:      schema.FromAPIVersionAndKind(template.APIVersion, template.Kind),
		namespace: template.Namespace,
		name:      template.Name,
	}
}

// key is the key of the target in a mirror of its kind.
func (t target) key() string {
	if t.namespace == "" {
		return t.name
	}
	return t.namespace + "/" + t.name
}

// identity tells targets of one member apart, whichever version of the kind
// they are in.
func (t target) identity() objectIdentity {
	return objectIdentity{kind: t.kind.GroupKind(), key: t.key()}
}

// String names the target in messages.
func (t target) String() string { return t.kind.Kind + " " + t.key() }

// isNamespace is true for the kind that is shared by all who use a member.
func (t target) isNamespace() bool {
	return t.kind.Group == "" && t.kind.Kind == "Namespace"
}

// objectIdentity is the identity of an object in one member.
type objectIdentity struct {
	kind schema.GroupKind
	key  string
}

// desiredHash identifies what a work wants, apart from its numbering, and what of it is
// left to others in the member, or belongs to others there.
func (s *session) desiredHash(work *workv1alpha1.Work, owners []metav1.OwnerReference) uint64 {
	var hash maphash.Hash
	hash.SetSeed(seed)
	for _, manifest := range work.Spec.Workload.Manifests {
		_, _ = hash.Write(manifest.Raw)
	}
	_, _ = hash.WriteString(string(work.Spec.Template.UID))
	_, _ = hash.WriteString(string(work.Spec.ConflictResolution))
	_, _ = hash.WriteString(string(work.Spec.RecreatePolicy))
	retained, _ := s.interpretations.Interpreter().Expression(targetOf(work).kind, interpreter.Retention)
	_, _ = hash.WriteString(retained)
	for i := range owners {
		_, _ = hash.WriteString(string(owners[i].UID))
	}
	if s.autoscaled.has(targetOf(work).identity()) {
		_ = hash.WriteByte(0)
	}
	return hash.Sum64()
}

// decodeDesired reads the manifest of a work and leaves in it only what the
// fleet may own.
func decodeDesired(work *workv1alpha1.Work, fleetID string) (*unstructured.Unstructured, error) {
	if len(work.Spec.Workload.Manifests) != 1 {
		return nil, fmt.Errorf("decode work %s: it has %d manifests, not one", work.Name, len(work.Spec.Workload.Manifests))
	}
	desired := &unstructured.Unstructured{}
	if err := desired.UnmarshalJSON(work.Spec.Workload.Manifests[0].Raw); err != nil {
		return nil, fmt.Errorf("decode work %s: %w", work.Name, err)
	}
	if got, want := targetOfObject(desired), targetOf(work); got != want {
		return nil, fmt.Errorf("decode work %s: manifest is of %s in %s, not of %s in %s", work.Name, got, got.kind, want, want.kind)
	}
	if desired.GetLabels()[wellknown.LabelManagedBy] != fleetID {
		return nil, fmt.Errorf("decode work %s: %w", work.Name, errUnmarked)
	}
	delete(desired.Object, "status")
	for _, field := range []string{
		"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
		"deletionGracePeriodSeconds", "managedFields", "selfLink", "ownerReferences",
	} {
		unstructured.RemoveNestedField(desired.Object, "metadata", field)
	}
	// A template may be a copy of an object of a member; these are not its to say.
	for _, key := range []string{wellknown.AnnotationAdopted, wellknown.AnnotationCreatedBy, wellknown.AnnotationUnstamped, wellknown.AnnotationAutoscaled} {
		unstructured.RemoveNestedField(desired.Object, "metadata", "annotations", key)
	}
	annotate(desired, wellknown.AnnotationContentHash, work.Spec.ContentHash)
	return desired, nil
}

func annotate(object *unstructured.Unstructured, key, value string) {
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[key] = value
	object.SetAnnotations(annotations)
}

// errUnmarked says that a manifest lacks the mark by which the syncer knows its
// own objects again; applied it could neither be watched nor deleted.
var errUnmarked = errors.New("manifest does not carry the id of this fleet")

func targetOfObject(object *unstructured.Unstructured) target {
	return target{kind: object.GroupVersionKind(), namespace: object.GetNamespace(), name: object.GetName()}
}
