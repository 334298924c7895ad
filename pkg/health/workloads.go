// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// shortage is the first of several counters that is below what is wanted. The
// message names the counter but not its value, so that it does not change with
// each Pod.
type shortage struct {
	name string
	have int64
}

// firstShort returns Unhealthy for the first counter below want.
func firstShort(want int64, counters ...shortage) (Health, string, bool) {
	for _, counter := range counters {
		if counter.have < want {
			return Unhealthy, fmt.Sprintf("fewer than %d replicas are %s", want, counter.name), true
		}
	}
	return "", "", false
}

// notObserved is the verdict on a workload whose controller never wrote a status.
func notObserved(obj *unstructured.Unstructured) (Health, string, bool) {
	if _, ok := integer(obj, "status", "observedGeneration"); ok {
		return "", "", false
	}
	return Unknown, "not observed by its controller", true
}

func deployment(obj *unstructured.Unstructured) (Health, string) {
	if verdict, message, ok := notObserved(obj); ok {
		return verdict, message
	}
	progressing, hasProgress := conditionOf(obj, "Progressing")
	if hasProgress && progressing.reason == "ProgressDeadlineExceeded" {
		return Unhealthy, progressing.describe("progress deadline exceeded")
	}
	want := integerOr(obj, 1, "spec", "replicas")
	total := integerOr(obj, 0, "status", "replicas")
	if verdict, message, short := firstShort(want,
		shortage{"created", total},
		shortage{"updated", integerOr(obj, 0, "status", "updatedReplicas")},
		shortage{"available", integerOr(obj, 0, "status", "availableReplicas")},
		shortage{"ready", integerOr(obj, 0, "status", "readyReplicas")},
	); short {
		return verdict, message
	}
	if total > want {
		return Unhealthy, "old replicas are pending termination"
	}
	// Without a deadline the Deployment controller writes no Progressing condition.
	deadline := integerOr(obj, math.MaxInt32, "spec", "progressDeadlineSeconds")
	if deadline != math.MaxInt32 && hasProgress && progressing.status == conditionFalse {
		return Unhealthy, progressing.describe("not progressing")
	}
	if available, ok := conditionOf(obj, "Available"); !ok || available.status != conditionTrue {
		return Unhealthy, available.describe("not available")
	}
	return Healthy, "available"
}

// replicaSet judges ReplicaSets and ReplicationControllers.
func replicaSet(obj *unstructured.Unstructured) (Health, string) {
	if verdict, message, ok := notObserved(obj); ok {
		return verdict, message
	}
	if failure, ok := conditionOf(obj, "ReplicaFailure"); ok && failure.status == conditionTrue {
		return Unhealthy, failure.describe("replicas cannot be created")
	}
	want := integerOr(obj, 1, "spec", "replicas")
	if verdict, message, short := firstShort(want,
		shortage{"available", integerOr(obj, 0, "status", "availableReplicas")},
		shortage{"ready", integerOr(obj, 0, "status", "readyReplicas")},
	); short {
		return verdict, message
	}
	if integerOr(obj, 0, "status", "replicas") > want {
		return Unhealthy, "replicas are pending termination"
	}
	return Healthy, "available"
}

func statefulSet(obj *unstructured.Unstructured) (Health, string) {
	if verdict, message, ok := notObserved(obj); ok {
		return verdict, message
	}
	want := integerOr(obj, 1, "spec", "replicas")
	total := integerOr(obj, 0, "status", "replicas")
	if verdict, message, short := firstShort(want,
		shortage{"created", total},
		shortage{"ready", integerOr(obj, 0, "status", "readyReplicas")},
	); short {
		return verdict, message
	}
	if total > want {
		return Unhealthy, "replicas are pending termination"
	}
	// With OnDelete the user decides when Pods are replaced.
	if text(obj, "spec", "updateStrategy", "type") == "OnDelete" {
		return Healthy, "available"
	}
	partition := integerOr(obj, 0, "spec", "updateStrategy", "rollingUpdate", "partition")
	if verdict, message, short := firstShort(want-partition,
		shortage{"updated", integerOr(obj, 0, "status", "updatedReplicas")},
	); short {
		return verdict, message
	}
	if partition == 0 && text(obj, "status", "currentRevision") != text(obj, "status", "updateRevision") {
		return Unhealthy, "the update revision is not the current one yet"
	}
	return Healthy, "available"
}

func daemonSet(obj *unstructured.Unstructured) (Health, string) {
	if verdict, message, ok := notObserved(obj); ok {
		return verdict, message
	}
	want := integerOr(obj, 0, "status", "desiredNumberScheduled")
	counters := []shortage{
		{"scheduled", integerOr(obj, 0, "status", "currentNumberScheduled")},
		{"available", integerOr(obj, 0, "status", "numberAvailable")},
		{"ready", integerOr(obj, 0, "status", "numberReady")},
	}
	if text(obj, "spec", "updateStrategy", "type") != "OnDelete" {
		counters = append(counters, shortage{"updated", integerOr(obj, 0, "status", "updatedNumberScheduled")})
	}
	if verdict, message, short := firstShort(want, counters...); short {
		return verdict, message
	}
	return Healthy, "available"
}

func job(obj *unstructured.Unstructured) (Health, string) {
	if failed, ok := conditionOf(obj, "Failed"); ok && failed.status == conditionTrue {
		return Unhealthy, failed.describe("failed")
	}
	if complete, ok := conditionOf(obj, "Complete"); ok && complete.status == conditionTrue {
		return Healthy, "complete"
	}
	if failing, ok := conditionOf(obj, "FailureTarget"); ok && failing.status == conditionTrue {
		return Unhealthy, failing.describe("failing")
	}
	if suspend, _, _ := unstructured.NestedBool(obj.Object, "spec", "suspend"); suspend {
		return Healthy, "suspended"
	}
	if text(obj, "status", "startTime") == "" {
		return Unknown, "not started"
	}
	return Healthy, "running"
}
