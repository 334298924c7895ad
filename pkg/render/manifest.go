// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// variant is all that makes the manifest of one member differ from that of
// another: its replicas, the overrides that name it, its version of the API, and itself when one
// of the overrides asks about it, or the template names one of its nodes. Members of the same
// variant share a manifest.
type variant struct {
	replicas  int64
	divided   bool   // replicas is to be set
	part      part   // of what is counted through
	overrides string // indices into spec.overrides
	version   string // of the API, empty for the template's own
	cluster   string // the member, where an expression may ask about it, or its nodes are named
}

type manifestResult struct {
	raw  []byte
	hash string
	err  error
}

func variantOf(template *Template, spec *workv1alpha1.BindingSpec, target target) variant {
	var key variant
	key.replicas, key.divided = replicasFor(template, spec, target)
	if key.divided {
		key.part = partFor(template, spec, target)
	}
	if template.members[target.cluster] {
		key.cluster = target.cluster
	}
	var indices strings.Builder
	for i := range spec.Overrides {
		if appliesTo(&spec.Overrides[i], target.cluster) {
			fmt.Fprintf(&indices, "%d,", i)
			if spec.Overrides[i].Overriders.Expression != "" {
				key.cluster = target.cluster
			}
		}
	}
	key.overrides = indices.String()
	return key
}

// appliesTo says whether the override names the member; one that names none is
// for all.
func appliesTo(override *workv1alpha1.ResolvedOverride, cluster string) bool {
	return len(override.Clusters) == 0 || slices.Contains(override.Clusters, cluster)
}

// newManifest renders the object as the member of the target gets it.
func newManifest(fleetID string, template *Template, binding workv1alpha1.Binding, key variant, target target) manifestResult {
	spec := binding.GetSpec()
	object := runtime.DeepCopyJSON(template.object)
	if key.divided {
		var err error
		if object, err = withReplicas(object, template.kind, spec.ReplicaRevision, key.replicas); err != nil {
			return manifestResult{err: err}
		}
		setPart(object, template.kind, key.part)
	}
	nameNodes(object, template, target.cluster)
	var applied []string
	for i := range spec.Overrides {
		override := &spec.Overrides[i]
		if !appliesTo(override, target.cluster) {
			continue
		}
		overridden, err := applyOverriders(object, template.kind, override, target.cluster)
		if err != nil {
			return manifestResult{err: fmt.Errorf("apply override %q: %w", namespacedName(override.Policy.Namespace, override.Policy.Name), err)}
		}
		object = overridden
		applied = append(applied, namespacedName(override.Policy.Namespace, override.Policy.Name))
	}
	if err := sameIdentity(template.object, object); err != nil {
		return manifestResult{err: err}
	}
	if err := stamp(object, template, fleetID, binding, applied); err != nil {
		return manifestResult{err: err}
	}
	raw, hash, err := encode(object)
	return manifestResult{raw: raw, hash: hash, err: err}
}

// sameIdentity refuses overrides that would turn the object into another one:
// the fleet could not find, nor delete, it afterwards.
func sameIdentity(template, object map[string]any) error {
	for _, path := range [][]string{{"apiVersion"}, {"kind"}, {"metadata", "name"}, {"metadata", "namespace"}} {
		last := len(path) - 1
		want, _ := mapAt(template, path[:last]...)[path[last]].(string)
		if got, _ := mapAt(object, path[:last]...)[path[last]].(string); got != want {
			return fmt.Errorf("apply overrides: %s may not change", strings.Join(path, "."))
		}
	}
	return nil
}

// stamp marks the object as the fleet's and says where it comes from. It goes
// last, so that neither template nor override decides about it.
func stamp(object map[string]any, template *Template, fleetID string, binding workv1alpha1.Binding, overrides []string) error {
	if err := stampPodTemplate(object, template.kind, template.hash); err != nil {
		return fmt.Errorf("stamp pod template: %w", err)
	}
	if template.kind == podKind {
		// It is a Pod template itself, of which the fleet shows the Pod.
		if err := setLabel(object, []string{"metadata", "labels"}, wellknown.LabelTemplate, string(template.uid)); err != nil {
			return err
		}
	}
	if err := setLabel(object, []string{"metadata", "labels"}, wellknown.LabelManagedBy, fleetID); err != nil {
		return err
	}
	if len(template.owners) > 0 {
		mapAt(object, "metadata")["ownerReferences"] = runtime.DeepCopyJSONValue(template.owners)
	}
	provenance := map[string]string{
		wellknown.AnnotationFleetID:     fleetID,
		wellknown.AnnotationTemplateUID: string(template.uid),
		wellknown.AnnotationBinding:     namespacedName(binding.GetNamespace(), binding.GetName()),
		wellknown.AnnotationOverrides:   strings.Join(overrides, ","),
	}
	if policy := binding.GetSpec().Policy; policy != nil {
		provenance[wellknown.AnnotationPolicy] = namespacedName(policy.Namespace, policy.Name)
	}
	for _, key := range provenanceAnnotations {
		if provenance[key] == "" {
			dropPathKey(mapAt(object, "metadata"), "annotations", key)
			continue
		}
		if err := setLabel(object, []string{"metadata", "annotations"}, key, provenance[key]); err != nil {
			return err
		}
	}
	return nil
}

// provenanceAnnotations are all the annotations stamp may write; a value of them
// in the template, of an object copied from a member, is not carried.
var provenanceAnnotations = []string{
	wellknown.AnnotationFleetID,
	wellknown.AnnotationTemplateUID,
	wellknown.AnnotationBinding,
	wellknown.AnnotationPolicy,
	wellknown.AnnotationOverrides,
}

// namespacedName writes namespace/name, and /name when cluster-scoped.
func namespacedName(namespace, name string) string { return namespace + "/" + name }

// encode writes the object as JSON with sorted keys and hashes the bytes.
func encode(object map[string]any) ([]byte, string, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, "", fmt.Errorf("encode manifest: %w", err)
	}
	return raw, ContentHash(raw), nil
}

// ContentHash returns the hash by which feedback names a manifest: 32
// hexadecimal digits of its SHA-256.
func ContentHash(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return hex.EncodeToString(sum[:16])
}
