// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/health"
	"fleet.dev/fleet/pkg/interpreter"
)

// observed is an object of a member, as far as the syncer needs it. Contents are
// kept encoded: they are looked at only when something but the status changed,
// and encoded they take a tenth of the memory.
type observed struct {
	// ObjectMeta has identity and state, and of labels and annotations only the
	// fleet's.
	metav1.ObjectMeta

	// manifest is the object without status and managed fields, as JSON.
	manifest []byte
	// status is the status as JSON, nil when there is none.
	status []byte
	// owned are the fields server-side apply holds for us, in the form of
	// FieldsV1, nil when it holds none.
	owned []byte
	// ownedVersion is the apiVersion owned refers to.
	ownedVersion string
	// scaledByOthers is true when others own the number of replicas and the fleet does
	// not: what it leaves out there stays as it is.
	scaledByOthers bool
	// autoscaled is true when a HorizontalPodAutoscaler of the member set the number of
	// replicas last.
	autoscaled bool
	// observedGeneration is that of the status, -1 when the status has none.
	observedGeneration int64
	// health of the object.
	health workv1alpha1.ResourceHealth
	// problem says why a customization cannot read the object, empty when it can.
	problem string
	// fingerprint changes with everything but the status.
	fingerprint uint64
}

// seed makes fingerprints comparable within the process.
var seed = maphash.MakeSeed()

// observe cuts an object down, and reads it by the customizations of its kind. It
// returns an *observed as it is, and does not keep a reference to an unstructured one
// but may change it.
func observe(object any, by *interpreter.Interpreter) (*observed, error) {
	switch object := object.(type) {
	case *observed:
		return object, nil
	case *unstructured.Unstructured:
		return cutDown(object, by)
	default:
		return nil, fmt.Errorf("observe object: unexpected type %T", object)
	}
}

func cutDown(object *unstructured.Unstructured, by *interpreter.Interpreter) (*observed, error) {
	verdict, problem := judge(object, by)
	o := &observed{
		ObjectMeta: metav1.ObjectMeta{
			Name:              object.GetName(),
			Namespace:         object.GetNamespace(),
			UID:               object.GetUID(),
			ResourceVersion:   object.GetResourceVersion(),
			Generation:        object.GetGeneration(),
			DeletionTimestamp: object.GetDeletionTimestamp(),

			DeletionGracePeriodSeconds: object.GetDeletionGracePeriodSeconds(),

			Finalizers:      object.GetFinalizers(),
			OwnerReferences: object.GetOwnerReferences(),
			Labels:          only(object.GetLabels(), wellknown.LabelManagedBy, wellknown.LabelDeletionProtected),
			Annotations: only(object.GetAnnotations(), wellknown.AnnotationTemplateUID,
				wellknown.AnnotationContentHash, wellknown.AnnotationCreatedNamespace,
				wellknown.AnnotationAdopted, wellknown.AnnotationCreatedBy, wellknown.AnnotationUnstamped,
				wellknown.AnnotationAutoscaled),
		},
		observedGeneration: observedGeneration(object),
		health:             verdict,
	}
	problems := []error{problem, reflectStatus(object, by)}
	if err := errors.Join(problems...); err != nil {
		o.problem = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	var err error
	if o.owned, o.ownedVersion, err = ownedFields(object); err != nil {
		return nil, err
	}
	o.scaledByOthers, o.autoscaled = scaledByOthers(object)
	object.SetManagedFields(nil)
	if status, ok := object.Object["status"]; ok {
		if o.status, err = json.Marshal(status); err != nil {
			return nil, fmt.Errorf("encode status: %w", err)
		}
		delete(object.Object, "status")
	}
	if kind := object.GroupVersionKind().GroupKind(); o.DeletionTimestamp != nil && kind.Kind == "Pod" && health.Finished(kind, o.status) {
		// Its kubelet says so before it lets go of any Pod that is deleted. It is no end
		// of its own, and the Pod is as good as gone.
		o.status = nil
	}
	object.SetResourceVersion("")
	if o.manifest, err = json.Marshal(object.Object); err != nil {
		return nil, fmt.Errorf("encode object: %w", err)
	}
	var hash maphash.Hash
	hash.SetSeed(seed)
	for _, part := range [][]byte{o.manifest, o.owned, []byte(o.ownedVersion)} {
		_, _ = hash.Write(part)
		_ = hash.WriteByte(0)
	}
	o.fingerprint = hash.Sum64()
	return o, nil
}

// judge returns the health of an object: what a customization says, or the rule for
// its kind. An object that is being deleted is that, whatever else.
func judge(object *unstructured.Unstructured, by *interpreter.Interpreter) (workv1alpha1.ResourceHealth, error) {
	if object.GetDeletionTimestamp() == nil {
		healthy, ok, err := by.Healthy(object)
		switch {
		case err != nil:
			return workv1alpha1.ResourceUnknown, err
		case ok && healthy:
			return workv1alpha1.ResourceHealthy, nil
		case ok:
			return workv1alpha1.ResourceUnhealthy, nil
		}
	}
	verdict, _ := health.Of(object)
	return workv1alpha1.ResourceHealth(verdict), nil
}

// reflectStatus leaves of the status of an object what a customization reports of it; when
// that fails, nothing.
func reflectStatus(object *unstructured.Unstructured, by *interpreter.Interpreter) error {
	if _, ok := object.Object["status"]; !ok {
		return nil
	}
	status, ok, err := by.Reflect(object)
	switch {
	case err != nil:
		delete(object.Object, "status")
	case ok:
		object.Object["status"] = status
	}
	return err
}

// only returns the entries of all with the keys, nil when there are none.
func only(all map[string]string, keys ...string) map[string]string {
	var kept map[string]string
	for _, key := range keys {
		if value, ok := all[key]; ok {
			if kept == nil {
				kept = make(map[string]string, len(keys))
			}
			kept[key] = value
		}
	}
	return kept
}

// ownedFields finds what server-side apply holds for us, and for which
// apiVersion. It reads the one entry that counts and skips decoding the rest.
func ownedFields(object *unstructured.Unstructured) ([]byte, string, error) {
	metadata, _ := object.Object["metadata"].(map[string]any)
	entries, _ := metadata["managedFields"].([]any)
	for _, item := range entries {
		entry, ok := item.(map[string]any)
		if !ok || !isOurs(entry) {
			continue
		}
		fields, err := json.Marshal(entry["fieldsV1"])
		if err != nil {
			return nil, "", fmt.Errorf("encode managed fields: %w", err)
		}
		version, _ := entry["apiVersion"].(string)
		return fields, version, nil
	}
	return nil, "", nil
}

// scaledByOthers returns true when managers own the replicas of an object of which
// server-side apply by the fleet is none, and whether an autoscaler is one of them.
func scaledByOthers(object *unstructured.Unstructured) (others, autoscaled bool) {
	metadata, _ := object.Object["metadata"].(map[string]any)
	entries, _ := metadata["managedFields"].([]any)
	for _, item := range entries {
		entry, _ := item.(map[string]any)
		if _, owns, _ := unstructured.NestedFieldNoCopy(entry, "fieldsV1", "f:spec", "f:replicas"); !owns {
			continue
		}
		if isOurs(entry) {
			return false, false
		}
		others = true
		autoscaled = autoscaled || isAutoscaler(entry)
	}
	return others, autoscaled
}

// isAutoscaler tells the entry of HorizontalPodAutoscalers: of kube-controller-manager
// only their controller writes subresource scale.
func isAutoscaler(entry map[string]any) bool {
	return entry["manager"] == "kube-controller-manager" && entry["subresource"] == "scale"
}

// isOurs tells our entry of metadata.managedFields from those of others.
func isOurs(entry map[string]any) bool {
	return entry["manager"] == wellknown.FieldManager &&
		entry["operation"] == string(metav1.ManagedFieldsOperationApply) &&
		(entry["subresource"] == nil || entry["subresource"] == "")
}

func observedGeneration(object *unstructured.Unstructured) int64 {
	if generation, ok, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration"); ok && err == nil {
		return generation
	}
	return -1
}

// managedBy returns the id of the fleet the object belongs to, empty when it
// belongs to none.
func (o *observed) managedBy() string { return o.Labels[wellknown.LabelManagedBy] }

// templateUID returns the uid of the template the object came from.
func (o *observed) templateUID() string { return o.Annotations[wellknown.AnnotationTemplateUID] }

// contentHash returns that of the work that was applied last.
func (o *observed) contentHash() string { return o.Annotations[wellknown.AnnotationContentHash] }

// adopted returns true for objects that were there before the fleet.
func (o *observed) adopted() bool { return o.Annotations[wellknown.AnnotationAdopted] == "true" }

// createdBy returns the id of the fleet that created the object and released it.
func (o *observed) createdBy() string { return o.Annotations[wellknown.AnnotationCreatedBy] }

// released returns true for an object that the fleet created from the template,
// released, and nobody else's fleet has taken since.
func (o *observed) released(fleetID string, template types.UID) bool {
	return o.managedBy() == "" && o.createdBy() == fleetID && o.templateUID() == string(template)
}

// decode returns the object without status and managed fields.
func (o *observed) decode() (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(o.manifest); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	return object, nil
}

// newer returns the later state of one object; either may be nil. Of two states
// that cannot be put in order it returns the first.
func newer(seen, applied *observed) *observed {
	if seen == nil || applied == nil {
		if seen == nil {
			return applied
		}
		return seen
	}
	if order, err := resourceversion.CompareResourceVersion(seen.ResourceVersion, applied.ResourceVersion); err == nil && order < 0 {
		return applied
	}
	return seen
}
