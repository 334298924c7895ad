// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// stripService drops what the fleet's allocators filled in. Allocation and a
// user's choice look alike in the object; managedFields tell them apart because
// the registry allocates after ownership is recorded. Without managedFields
// everything counts as allocated. "None" is always kept: it is what makes a
// Service headless.
func stripService(object map[string]any, owned *fieldpath.Set) {
	spec := mapAt(object, "spec")
	if spec["clusterIP"] != "None" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	for _, field := range []string{"ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"} {
		if !owns(owned, "spec", field) {
			delete(spec, field)
		}
	}
	for _, port := range mapsAt(object, "spec", "ports") {
		if !owns(owned, "spec", "ports", servicePortKey(port), "nodePort") {
			delete(port, "nodePort")
		}
	}
}

// stripJob drops the generated selector and Pod labels unless the user manages
// them. The names are those of k8s.io/kubernetes/pkg/registry/batch/job
// generateSelector; validation refuses any other value for them.
func stripJob(object map[string]any, _ *fieldpath.Set) {
	spec := mapAt(object, "spec")
	// The fleet deletes its Job when the time is over, and then the members'. A member
	// that did so by itself would be given the Job again, to run once more.
	delete(spec, "ttlSecondsAfterFinished")
	if manual, _ := spec["manualSelector"].(bool); manual {
		return
	}
	delete(spec, "selector")
	for _, labels := range []map[string]any{
		mapAt(object, "metadata", "labels"),
		mapAt(object, "spec", "template", "metadata", "labels"),
	} {
		for _, key := range []string{
			"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name",
		} {
			delete(labels, key)
		}
	}
	dropEmptyMaps(object, "spec.template.metadata.labels")
}

func stripClaimTemplates(object map[string]any, _ *fieldpath.Set) {
	for _, claim := range mapsAt(object, "spec", "volumeClaimTemplates") {
		delete(claim, "status")
		delete(mapAt(claim, "metadata"), "creationTimestamp")
	}
}

func stripClaim(object map[string]any, owned *fieldpath.Set) {
	if !owns(owned, "spec", "volumeName") {
		dropPath(object, "spec.volumeName")
	}
}

func stripTokenSecret(object map[string]any, _ *fieldpath.Set) {
	if object["type"] != "kubernetes.io/service-account-token" {
		return
	}
	for _, key := range []string{"token", "ca.crt", "namespace"} {
		dropPathKey(object, "data", key)
	}
	dropPathKey(mapAt(object, "metadata"), "annotations", "kubernetes.io/service-account.uid")
	dropEmptyMaps(object, "data")
}

// dropPathKey removes one key, which may hold dots, of a map field.
func dropPathKey(object map[string]any, field, key string) {
	if m := mapAt(object, field); m != nil {
		delete(m, key)
	}
}

// stripPod drops the token volume that service-account admission injects (the
// kubelet of a member could not mount another cluster's) and the overhead of a
// RuntimeClass, which admission of the member computes again.
func stripPod(object map[string]any, _ *fieldpath.Set) {
	spec := mapAt(object, "spec")
	if _, ok := spec["runtimeClassName"]; ok {
		delete(spec, "overhead")
	}
	dropNamed(spec, "volumes", "name", isTokenVolume)
	for _, field := range []string{"initContainers", "containers"} {
		for _, container := range mapsAt(object, "spec", field) {
			dropNamed(container, "volumeMounts", "name", isTokenVolume)
		}
	}
}

func isTokenVolume(name string) bool { return strings.HasPrefix(name, "kube-api-access-") }

// dropNamed removes the items of a list whose key field matches, and the list
// when nothing is left.
func dropNamed(object map[string]any, field, key string, matches func(string) bool) {
	list, ok := object[field].([]any)
	if !ok {
		return
	}
	kept := make([]any, 0, len(list))
	for _, item := range list {
		m, _ := item.(map[string]any)
		if name, _ := m[key].(string); !matches(name) {
			kept = append(kept, item)
		}
	}
	if len(kept) == 0 && len(list) > 0 {
		delete(object, field)
		return
	}
	object[field] = kept
}

func stripAggregatedRules(object map[string]any, _ *fieldpath.Set) {
	if _, ok := object["aggregationRule"].(map[string]any); ok {
		delete(object, "rules")
	}
}
