// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/history"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Workload is a StatefulSet or DaemonSet, as far as its revisions go.
type Workload struct {
	metav1.Object

	// Kind is its kind.
	Kind schema.GroupVersionKind
	// Selector selects its Pods, and its revisions.
	Selector *metav1.LabelSelector

	template *corev1.PodTemplateSpec
	limit    *int32
	// running is the name of the revision that Pods may still be of.
	running string
	// hashLabel is where a revision has the hash.
	hashLabel string
	// hash names a revision by its data and the Pod template as members get them.
	hash func(data []byte, template *corev1.PodTemplateSpec, probe *int32) string
}

// OfStatefulSet returns a StatefulSet as a Workload.
func OfStatefulSet(set *appsv1.StatefulSet) Workload {
	return Workload{
		Object: set, Kind: appsv1.SchemeGroupVersion.WithKind("StatefulSet"), Selector: set.Spec.Selector,
		template: &set.Spec.Template, limit: set.Spec.RevisionHistoryLimit, running: set.Status.CurrentRevision, hashLabel: history.ControllerRevisionHashLabel,
		hash: func(data []byte, _ *corev1.PodTemplateSpec, probe *int32) string {
			// The StatefulSet controller always has a collision count.
			return history.HashControllerRevision(&appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: data}}, new(ptr.Deref(probe, 0)))
		},
	}
}

// OfDaemonSet returns a DaemonSet as a Workload.
func OfDaemonSet(set *appsv1.DaemonSet) Workload {
	return Workload{
		Object: set, Kind: appsv1.SchemeGroupVersion.WithKind("DaemonSet"), Selector: set.Spec.Selector,
		template: &set.Spec.Template, limit: set.Spec.RevisionHistoryLimit, hashLabel: appsv1.DefaultDaemonSetUniqueLabelKey,
		hash: func(_ []byte, template *corev1.PodTemplateSpec, probe *int32) string {
			return controller.ComputeHash(template, probe)
		},
	}
}

// ControllerRevisions is what has to be written of the revisions of a Workload.
type ControllerRevisions struct {
	// Record says that the current Pod template has no revision: NewControllerRevision
	// makes it, with Number.
	Record bool
	// Renumber is the revision that is current again, and gets Number.
	Renumber *appsv1.ControllerRevision
	// Number is greater than that of every other revision.
	Number int64
	// Delete are those beyond the history limit.
	Delete []*appsv1.ControllerRevision
}

// PlanControllerRevisions compares the revisions of a Workload with what they should
// be.
func PlanControllerRevisions(workload Workload, existing []*appsv1.ControllerRevision) (ControllerRevisions, error) {
	data, err := patch(workload.template)
	if err != nil {
		return ControllerRevisions{}, fmt.Errorf("record %s %q: %w", workload.Kind.Kind, workload.GetName(), err)
	}
	existing = slices.Clone(existing)
	history.SortControllerRevisions(existing)
	plan := ControllerRevisions{Number: 1}
	if len(existing) > 0 {
		plan.Number = existing[len(existing)-1].Revision + 1
	}
	equal := history.FindEqualRevisions(existing, &appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: data}})
	if len(equal) == 0 {
		plan.Record = true
		return plan, nil
	}
	current := equal[len(equal)-1]
	if current != existing[len(existing)-1] {
		plan.Renumber = current
		return plan, nil
	}
	past := slices.DeleteFunc(existing, func(r *appsv1.ControllerRevision) bool {
		return r == current || r.Name == workload.running || r.DeletionTimestamp != nil
	})
	plan.Delete = past[:max(len(past)-int(ptr.Deref(workload.limit, 10)), 0)]
	return plan, nil
}

// NewControllerRevision returns the record of a Workload's current Pod template. Stamp
// is what Stamp says. Another probe gives another name.
func NewControllerRevision(workload Workload, number int64, stamp string, probe *int32) (*appsv1.ControllerRevision, error) {
	carried := stamped(workload.template, stamp)
	data, err := patch(workload.template)
	if err != nil {
		return nil, fmt.Errorf("record %s %q: %w", workload.Kind.Kind, workload.GetName(), err)
	}
	carriedData, err := patch(carried)
	if err != nil {
		return nil, fmt.Errorf("record %s %q: %w", workload.Kind.Kind, workload.GetName(), err)
	}
	hash := workload.hash(carriedData, carried, probe)
	recorded, err := history.NewControllerRevision(workload, workload.Kind, with(workload.template.Labels, map[string]string{wellknown.LabelRevision: stamp}),
		runtime.RawExtension{Raw: data}, number, probe)
	if err != nil {
		return nil, fmt.Errorf("record %s %q: %w", workload.Kind.Kind, workload.GetName(), err)
	}
	recorded.Namespace = workload.GetNamespace()
	recorded.Name = history.ControllerRevisionName(workload.GetName(), hash)
	delete(recorded.Labels, history.ControllerRevisionHashLabel)
	recorded.Labels[workload.hashLabel] = hash
	recorded.Annotations = with(workload.GetAnnotations(), nil)
	delete(recorded.Annotations, corev1.LastAppliedConfigAnnotation)
	return recorded, nil
}

// patch is a strategic merge patch that brings a Pod template back, byte for byte as the
// StatefulSet and DaemonSet controllers record it (getPatch in each of them).
func patch(template *corev1.PodTemplateSpec) ([]byte, error) {
	encoded, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(encoded, &fields); err != nil {
		return nil, err
	}
	fields["$patch"] = "replace"
	return json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
}
