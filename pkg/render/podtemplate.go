// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// podTemplatePaths says where the Pod template of a native workload is.
var podTemplatePaths = map[schema.GroupKind][]string{
	{Group: "apps", Kind: "DaemonSet"}:   {"spec", "template"},
	{Group: "apps", Kind: "Deployment"}:  {"spec", "template"},
	{Group: "apps", Kind: "ReplicaSet"}:  {"spec", "template"},
	{Group: "apps", Kind: "StatefulSet"}: {"spec", "template"},
	{Group: "batch", Kind: "CronJob"}:    {"spec", "jobTemplate", "spec", "template"},
	{Group: "batch", Kind: "Job"}:        {"spec", "template"},
	{Kind: "ReplicationController"}:      {"spec", "template"},
}

// podKind is the kind of Pods.
var podKind = schema.GroupKind{Kind: "Pod"}

// PodTemplatePath returns where the Pod template of a native workload is, and false
// for other kinds. The caller may change it.
func PodTemplatePath(kind schema.GroupKind) ([]string, bool) {
	path, ok := podTemplatePaths[kind]
	return slices.Clone(path), ok
}

// podSpec returns the Pod spec of a Pod or of a native workload, nil for any
// other kind.
func podSpec(object map[string]any, kind schema.GroupKind) map[string]any {
	if kind == podKind {
		return mapAt(object, "spec")
	}
	path, ok := podTemplatePaths[kind]
	if !ok {
		return nil
	}
	return mapAt(mapAt(object, path...), "spec")
}

// PodTemplateHash returns the value of the fleet.dev/template label that every
// member's copy of the template gets, and false for kinds without a Pod
// template. It is the same for all members, whatever their overrides, and
// changes only when the Pod template does.
//
// Defaults are part of the hash. That is safe across upgrades: Kubernetes adds
// no default to a Pod template that would apply to objects stored before (see
// TestWorkloadDefaults in k8s.io/kubernetes/pkg/apis/core/v1), for the sake of
// the same kind of hash in its own controllers.
func PodTemplateHash(template *unstructured.Unstructured) (string, bool, error) {
	prepared, err := Prepare(template)
	if err != nil {
		return "", false, err
	}
	return prepared.hash, prepared.hash != "", nil
}

// hashPodTemplate hashes the Pod template of an already stripped object, "" when
// the kind has none.
func hashPodTemplate(object map[string]any, kind schema.GroupKind) (string, error) {
	path, ok := podTemplatePaths[kind]
	if !ok {
		return "", nil
	}
	podTemplate := mapAt(object, path...)
	if podTemplate == nil {
		return "", nil
	}
	data, err := json.Marshal(podTemplate)
	if err != nil {
		return "", fmt.Errorf("encode pod template: %w", err)
	}
	h := fnv.New32a()
	h.Write(data)
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10)), nil
}

// stripPodTemplate drops what is no part of a Pod template's content: the empty
// creation time some encoders write, and marks of a fleet, which members and the fleet
// itself would take for their own.
func stripPodTemplate(object map[string]any, kind schema.GroupKind) {
	path := podTemplatePaths[kind]
	for i := range path {
		metadata := mapAt(mapAt(object, path[:i+1]...), "metadata")
		if metadata["creationTimestamp"] == nil {
			delete(metadata, "creationTimestamp")
		}
		annotations := mapAt(metadata, "annotations")
		before := len(annotations)
		DropMarks(mapAt(metadata, "labels"), annotations)
		dropEmptyMaps(metadata, "labels")
		if len(annotations) < before {
			dropEmptyMaps(metadata, "annotations")
		}
	}
}

// DropMarks takes from labels and annotations of a Pod template what a fleet marks its
// objects and their Pods with.
func DropMarks[V any](labels, annotations map[string]V) {
	delete(labels, wellknown.LabelTemplate)
	delete(labels, wellknown.LabelManagedBy)
	maps.DeleteFunc(annotations, func(key string, _ V) bool { return strings.HasPrefix(key, wellknown.Domain+"/") })
}

// stampPodTemplate puts the label with the hash on the Pod template, which overrides may
// have given other marks.
func stampPodTemplate(object map[string]any, kind schema.GroupKind, hash string) error {
	stripPodTemplate(object, kind)
	if hash == "" {
		return nil
	}
	path := append(slices.Clone(podTemplatePaths[kind]), "metadata", "labels")
	return setLabel(object, path, wellknown.LabelTemplate, hash)
}

// setLabel sets one key of a map of strings and makes the maps on the way.
func setLabel(object map[string]any, path []string, key, value string) error {
	current := object
	for _, field := range path {
		switch next := current[field].(type) {
		case map[string]any:
			current = next
		case nil:
			made := map[string]any{}
			current[field] = made
			current = made
		default:
			return fmt.Errorf("set %q: field %q is no object", key, field)
		}
	}
	current[key] = value
	return nil
}
