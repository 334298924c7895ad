// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"encoding/json"
	"fmt"
	"sync"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

var autoscalerKind = schema.GroupKind{Group: autoscalingv2.GroupName, Kind: "HorizontalPodAutoscaler"}

// autoscaled knows which objects of works have an autoscaler of another work in the
// same member. Their number of replicas is its to say once they exist, whatever the
// fleet wants: two writers would not come to an end.
type autoscaled struct {
	mu      sync.Mutex
	targets map[string]objectIdentity // by the name of the autoscaler's work
	count   map[objectIdentity]int
}

func newAutoscaled() *autoscaled {
	return &autoscaled{targets: map[string]objectIdentity{}, count: map[objectIdentity]int{}}
}

// note learns of a work, which may be that of an autoscaler, and returns the objects
// that gained or lost one.
func (a *autoscaled) note(name string, work *workv1alpha1.Work) []objectIdentity {
	now, is := scaleTargetOf(work)
	a.mu.Lock()
	defer a.mu.Unlock()
	was, known := a.targets[name]
	if known == is && was == now {
		return nil
	}
	var changed []objectIdentity
	if known {
		delete(a.targets, name)
		if a.count[was]--; a.count[was] == 0 {
			delete(a.count, was)
		}
		changed = append(changed, was)
	}
	if is {
		a.targets[name] = now
		a.count[now]++
		changed = append(changed, now)
	}
	return changed
}

// has reports whether an object has an autoscaler.
func (a *autoscaled) has(object objectIdentity) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count[object] > 0
}

// scaleTargetOf returns what the autoscaler of a work scales, false when the work is
// nil, of another kind or a tombstone.
func scaleTargetOf(work *workv1alpha1.Work) (objectIdentity, bool) {
	if work == nil || work.Spec.Deleted || targetOf(work).kind.GroupKind() != autoscalerKind || len(work.Spec.Workload.Manifests) != 1 {
		return objectIdentity{}, false
	}
	var manifest struct {
		Spec struct {
			ScaleTargetRef autoscalingv2.CrossVersionObjectReference `json:"scaleTargetRef"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(work.Spec.Workload.Manifests[0].Raw, &manifest); err != nil {
		return objectIdentity{}, false // applying it fails too, and says why
	}
	ref := manifest.Spec.ScaleTargetRef
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
	return objectIdentity{kind: kind, key: work.Spec.Template.Namespace + "/" + ref.Name}, ref.Name != ""
}

// spareReplicas has an object whose number of replicas is an autoscaler's keep those it
// has. The object says so (wellknown.AnnotationAutoscaled): as in one cluster, they stay
// when the autoscaler goes, until the fleet wants another number. It returns true when
// desired says how many those are, which is right of this very version of the object
// only: what the fleet owns cannot be left out.
func (s *session) spareReplicas(t target, desired *unstructured.Unstructured, live *observed) (bool, error) {
	value, set, _ := unstructured.NestedFieldNoCopy(desired.Object, "spec", "replicas")
	if !set {
		return false, nil
	}
	wanted := fmt.Sprint(value)
	if !s.autoscaled.has(t.identity()) && !wasAutoscaled(owned(live, s.fleetID), desired, wanted) && !autoscaledThere(live) {
		return false, nil
	}
	annotate(desired, wellknown.AnnotationAutoscaled, wanted)
	switch {
	case live == nil:
		return false, nil
	case live.scaledByOthers:
		unstructured.RemoveNestedField(desired.Object, "spec", "replicas")
		return false, nil
	}
	running, err := live.decode()
	if err != nil {
		return false, err
	}
	replicas, set, err := unstructured.NestedInt64(running.Object, "spec", "replicas")
	if err != nil || !set {
		return false, err
	}
	return true, unstructured.SetNestedField(desired.Object, replicas, "spec", "replicas")
}

// wasAutoscaled reports whether the replicas of an object of the same template are an
// autoscaler's that went, and the fleet has wanted the same number since.
func wasAutoscaled(live *observed, desired *unstructured.Unstructured, wanted string) bool {
	return live != nil && live.Annotations[wellknown.AnnotationAutoscaled] == wanted &&
		live.templateUID() == desired.GetAnnotations()[wellknown.AnnotationTemplateUID]
}

// autoscaledThere reports whether an autoscaler that the fleet did not send set the
// replicas of an object, which the object does not say yet. Once it does, the fleet
// sets another number when it wants one, once; the autoscaler has the last word.
func autoscaledThere(live *observed) bool {
	return live != nil && live.autoscaled && live.Annotations[wellknown.AnnotationAutoscaled] == ""
}

// workMirror is the mirror of a member's works. Those of autoscalers are known
// before any work of a list is looked at: what they scale must not be put back to the
// fleet's number for a moment.
type workMirror struct {
	*mirror[*workv1alpha1.Work]
	autoscaled *autoscaled
}

var _ cache.TransformingStore = workMirror{}

// Replace implements cache.ReflectorStore.
func (m workMirror) Replace(objects []any, version string) error {
	for _, object := range objects {
		work, err := cutWork(object)
		if err != nil {
			return err
		}
		m.autoscaled.note(work.Name, work)
	}
	return m.mirror.Replace(objects, version)
}

// noteAutoscaler has the works looked at again whose object gained or lost an
// autoscaler.
func (s *session) noteAutoscaler(name string, work *workv1alpha1.Work) {
	for _, object := range s.autoscaled.note(name, work) {
		s.mu.Lock()
		target, known := s.targets[object]
		s.mu.Unlock()
		if known {
			s.enqueue(target)
		}
	}
}
