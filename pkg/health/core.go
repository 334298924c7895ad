// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func pod(obj *unstructured.Unstructured) (Health, string) {
	switch phase := text(obj, "status", "phase"); phase {
	case "Succeeded":
		return Healthy, "succeeded"
	case "Failed":
		if message := text(obj, "status", "message"); message != "" {
			return Unhealthy, message
		}
		return Unhealthy, "failed"
	case "Pending":
		if scheduled, ok := conditionOf(obj, "PodScheduled"); ok && scheduled.status == conditionFalse {
			return Unhealthy, scheduled.describe("not scheduled")
		}
		return Unhealthy, "pending"
	case "Running":
		ready, _ := conditionOf(obj, "Ready")
		if ready.status != conditionTrue {
			return Unhealthy, ready.describe("not ready")
		}
		return Healthy, "ready"
	case "":
		return Unknown, "not observed by a node"
	default:
		return Unknown, fmt.Sprintf("phase is %q", phase)
	}
}

func persistentVolumeClaim(obj *unstructured.Unstructured) (Health, string) {
	switch phase := text(obj, "status", "phase"); phase {
	case "Bound":
		return Healthy, "bound"
	case "":
		return Unknown, "not observed by its controller"
	default:
		return Unhealthy, fmt.Sprintf("phase is %q", phase)
	}
}

func service(obj *unstructured.Unstructured) (Health, string) {
	if text(obj, "spec", "type") != "LoadBalancer" {
		return Healthy, "exists"
	}
	addresses, _, _ := unstructured.NestedFieldNoCopy(obj.Object, "status", "loadBalancer", "ingress")
	if list, _ := addresses.([]any); len(list) == 0 {
		return Unhealthy, "the load balancer has no address"
	}
	return Healthy, "the load balancer has an address"
}

func customResourceDefinition(obj *unstructured.Unstructured) (Health, string) {
	if names, ok := conditionOf(obj, "NamesAccepted"); ok && names.status == conditionFalse {
		return Unhealthy, names.describe("names are not accepted")
	}
	established, ok := conditionOf(obj, "Established")
	switch {
	case !ok:
		return Unknown, "not observed by its controller"
	case established.status == conditionTrue:
		return Healthy, "established"
	default:
		return Unhealthy, established.describe("not established")
	}
}
