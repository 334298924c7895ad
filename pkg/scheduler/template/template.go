// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/podspec"
	"fleet.dev/fleet/pkg/scheduler/capacity"
)

// Key identifies a template. Versions of one kind share it.
type Key struct {
	// Group of the API, empty for the core group.
	Group string
	// Kind of the object.
	Kind string
	// Namespace of the object, empty for a cluster-scoped one.
	Namespace string
	// Name of the object.
	Name string
}

// KeyOf returns the key of the template a binding is for.
func KeyOf(ref workv1alpha1.ObjectReference) Key {
	group, _, found := strings.Cut(ref.APIVersion, "/")
	if !found {
		group = ""
	}
	return Key{Group: group, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
}

// GroupKind returns the kind with its group.
func (k Key) GroupKind() schema.GroupKind { return schema.GroupKind{Group: k.Group, Kind: k.Kind} }

// Compare orders keys by kind, namespace and name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Group, other.Group), cmp.Compare(k.Kind, other.Kind), cmp.Compare(k.Namespace, other.Namespace), cmp.Compare(k.Name, other.Name))
}

// String is the key for people: Deployment.apps default/web.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.GroupKind().String() + " " + k.Name
	}
	return k.GroupKind().String() + " " + k.Namespace + "/" + k.Name
}

// Template is what decisions about one object depend on. Of the metadata it
// keeps identity, versions, labels, deletion timestamp and the annotations of the fleet.
type Template struct {
	metav1.ObjectMeta

	// Kind is the kind in the version the scheduler reads.
	Kind schema.GroupVersionKind
	// Stays says why the object is never carried to members, empty when it is.
	Stays string
	// Foreground says that it is being deleted and is there until all that depends on
	// it is gone, its objects in members first of all.
	Foreground bool
	// NamedOnly says that only a policy that names its kind carries the object;
	// auto placement leaves it in the fleet.
	NamedOnly bool
	// Workload is what the object runs, nil for kinds that run nothing.
	Workload *Workload
	// Links tie the object to others, nil when there are none.
	Links *Links
	// Problem says why an expression of a customization failed on the object, empty
	// when none did.
	Problem string
	// Priority is what a PriorityClass says, nil for other kinds.
	Priority *Priority
}

// Priority is what a PriorityClass says.
type Priority struct {
	// Value of the class; the higher goes first.
	Value int32
	// Preempts says that workloads of the class may take the place of those of lower
	// priority.
	Preempts bool
	// Default says that the class is that of Pods that name none.
	Default bool
}

// Workload is what a template runs.
type Workload struct {
	// Pods is the number of Pods the template asks for at a time, at least as
	// far as its spec tells; 0 for DaemonSets and CronJobs.
	Pods int32
	// Replicated says that spec.replicas exists.
	Replicated bool
	// Divisible says that members can share the Pods: spec.replicas, or the
	// parallelism of a Job whose Pods have no index.
	Divisible bool
	// Requirements of one Pod.
	Requirements *workv1alpha1.ReplicaRequirements
	// Constraints of one Pod beyond those, nil when it has none.
	Constraints *capacity.Constraints
	// Components are the sorts of Pods it runs, when there are several. They go to
	// one member together; Pods and Requirements say nothing then.
	Components []workv1alpha1.Component
	// Nodes are those its Pods ask for by name, nil when they ask for none.
	Nodes *podspec.Nodes
	// Claims are the names of the PersistentVolumeClaims its Pods mount, sorted.
	Claims []string
	// Labels of its Pods, by which others select them. Nil when they are not known.
	Labels map[string]string
	// Finished says that it ran to its end, so that placing it again would run
	// it twice.
	Finished bool
}

// Key returns the key of the template.
func (t *Template) Key() Key {
	return Key{Group: t.Kind.Group, Kind: t.Kind.Kind, Namespace: t.Namespace, Name: t.Name}
}

// IsJob reports whether the object is a Job.
func (t *Template) IsJob() bool { return t.Kind.Group == "batch" && t.Kind.Kind == "Job" }

// IsStatefulSet reports whether the object is a StatefulSet.
func (t *Template) IsStatefulSet() bool {
	return t.Kind.Group == "apps" && t.Kind.Kind == "StatefulSet"
}

// Reference returns how a binding names the template.
func (t *Template) Reference() workv1alpha1.ObjectReference {
	apiVersion, kind := t.Kind.ToAPIVersionAndKind()
	return workv1alpha1.ObjectReference{
		APIVersion:      apiVersion,
		Kind:            kind,
		Namespace:       t.Namespace,
		Name:            t.Name,
		UID:             t.UID,
		ResourceVersion: t.ResourceVersion,
	}
}

// SameDecision reports whether both versions of a template lead to the same
// decision, so that an event from one to the other needs none. A template that
// finished keeps its placement, so finishing changes nothing.
func (t *Template) SameDecision(other *Template) bool {
	return t.UID == other.UID &&
		t.Stays == other.Stays &&
		t.NamedOnly == other.NamedOnly &&
		t.Problem == other.Problem &&
		t.DeletionTimestamp.IsZero() == other.DeletionTimestamp.IsZero() &&
		t.Foreground == other.Foreground &&
		maps.Equal(t.Labels, other.Labels) &&
		maps.Equal(t.Annotations, other.Annotations) &&
		t.Workload.sameDecision(other.Workload)
}

func (w *Workload) sameDecision(other *Workload) bool {
	if w == nil || other == nil {
		return w == other
	}
	return w.Pods == other.Pods &&
		w.Divisible == other.Divisible &&
		slices.Equal(w.Claims, other.Claims) &&
		equality.Semantic.DeepEqual(w.Nodes, other.Nodes) &&
		equality.Semantic.DeepEqual(w.Requirements, other.Requirements) &&
		equality.Semantic.DeepEqual(w.Components, other.Components) &&
		equality.Semantic.DeepEqual(w.Constraints, other.Constraints)
}

// New makes the template of an object of the kind, with what the Reader of the
// kind found in it.
func New(kind schema.GroupVersionKind, meta metav1.Object, traits Traits) *Template {
	t := &Template{
		Kind: kind,
		ObjectMeta: metav1.ObjectMeta{
			Namespace:         meta.GetNamespace(),
			Name:              meta.GetName(),
			UID:               meta.GetUID(),
			ResourceVersion:   meta.GetResourceVersion(),
			Generation:        meta.GetGeneration(),
			DeletionTimestamp: meta.GetDeletionTimestamp(),
		},
		Stays:      whyStays(kind.GroupKind(), meta),
		Foreground: InForeground(meta),
		Priority:   traits.Priority,
	}
	if t.Stays != "" {
		return t
	}
	t.Labels = meta.GetLabels()
	t.Annotations = hints(meta.GetAnnotations())
	t.NamedOnly = traits.NamedOnly
	t.Workload = traits.Workload
	t.Links = traits.Links
	t.Problem = traits.Problem
	return t
}

// InForeground reports whether an object is being deleted in the foreground, or
// gracefully, as Pods are: it is there until its members have ended it.
func InForeground(object metav1.Object) bool {
	switch finalizers := object.GetFinalizers(); {
	case object.GetDeletionTimestamp() == nil:
		return false
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return false // whether members keep it is not recorded yet
	default:
		return slices.Contains(finalizers, metav1.FinalizerDeleteDependents) || ptr.Deref(object.GetDeletionGracePeriodSeconds(), 0) > 0
	}
}

// hints keeps the annotations that placement reads.
func hints(annotations map[string]string) map[string]string {
	var kept map[string]string
	for _, key := range []string{wellknown.AnnotationPlacement, wellknown.AnnotationClusters} {
		if value, ok := annotations[key]; ok {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[key] = value
		}
	}
	return kept
}
