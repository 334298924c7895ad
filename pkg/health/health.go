// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Health is the verdict on one object.
type Health string

const (
	// Healthy says that the object does what it is asked to do.
	Healthy Health = "Healthy"
	// Unhealthy says that it was looked at by its controller and does not (yet,
	// or any more) do what it is asked to do.
	Unhealthy Health = "Unhealthy"
	// Unknown says that nothing can be said: its controller has not looked at
	// the newest generation, or its status cannot be read.
	Unknown Health = "Unknown"
)

// A rule judges the objects of one kind whose newest generation was observed.
type rule func(obj *unstructured.Unstructured) (Health, string)

// rules holds the kinds for which the general rule is not enough.
var rules = map[schema.GroupKind]rule{
	{Group: "apps", Kind: "Deployment"}:                               deployment,
	{Group: "apps", Kind: "ReplicaSet"}:                               replicaSet,
	{Group: "", Kind: "ReplicationController"}:                        replicaSet,
	{Group: "apps", Kind: "StatefulSet"}:                              statefulSet,
	{Group: "apps", Kind: "DaemonSet"}:                                daemonSet,
	{Group: "batch", Kind: "Job"}:                                     job,
	{Group: "", Kind: "Pod"}:                                          pod,
	{Group: "", Kind: "PersistentVolumeClaim"}:                        persistentVolumeClaim,
	{Group: "", Kind: "Service"}:                                      service,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: customResourceDefinition,
}

// Of judges an object as a member's API server returned it. The message says why
// in a few words; it names no member and no object, and holds no time and no
// count that changes while the verdict stands still. A nil object is Unknown.
func Of(obj *unstructured.Unstructured) (Health, string) {
	if obj == nil || obj.Object == nil {
		return Unknown, "no object"
	}
	if verdict, message, ok := general(obj); ok {
		return verdict, message
	}
	if judge, ok := rules[obj.GroupVersionKind().GroupKind()]; ok {
		return judge(obj)
	}
	return byReadyCondition(obj)
}

// general applies what holds for every kind; ok is false when it decides nothing.
func general(obj *unstructured.Unstructured) (Health, string, bool) {
	if obj.GetDeletionTimestamp() != nil {
		return Unhealthy, "being deleted", true
	}
	generation := integerOr(obj, 0, "metadata", "generation")
	observed, reported := integer(obj, "status", "observedGeneration")
	if reported && generation != 0 && observed != generation {
		return Unknown, fmt.Sprintf("generation %d is not observed", generation), true
	}
	if c, ok := conditionOf(obj, "Stalled"); ok && c.status == conditionTrue {
		return Unhealthy, c.describe("stalled"), true
	}
	if c, ok := conditionOf(obj, "Reconciling"); ok && c.status == conditionTrue {
		return Unhealthy, c.describe("reconciling"), true
	}
	return "", "", false
}

// byReadyCondition judges kinds that have no row: by their Ready condition when
// they have one, and as Healthy when they have not.
func byReadyCondition(obj *unstructured.Unstructured) (Health, string) {
	c, ok := conditionOf(obj, "Ready")
	switch {
	case !ok:
		return Healthy, "exists"
	case c.status == conditionTrue:
		return Healthy, "ready"
	case c.status == conditionFalse:
		return Unhealthy, c.describe("not ready")
	default:
		return Unknown, c.describe("readiness is unknown")
	}
}
