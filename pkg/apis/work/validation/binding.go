// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	corev1 "k8s.io/api/core/v1"
	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	clustervalidation "fleet.dev/fleet/pkg/apis/cluster/validation"
	"fleet.dev/fleet/pkg/apis/fieldcheck"
	"fleet.dev/fleet/pkg/apis/policy"
	policyvalidation "fleet.dev/fleet/pkg/apis/policy/validation"
	"fleet.dev/fleet/pkg/apis/work"
)

// ValidateBinding validates a new binding of either scope.
func ValidateBinding(b work.Binding) field.ErrorList {
	_, namespaced := b.(*work.ResourceBinding)
	errs := apimachineryvalidation.ValidateObjectMetaAccessor(b, namespaced, apimachineryvalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, validateBindingSpec(b, field.NewPath("spec"))...)
}

// ValidateBindingUpdate validates a changed binding of either scope. Of the
// template only the version and the uid may change.
func ValidateBindingUpdate(b, old work.Binding) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMetaAccessorUpdate(b, old, field.NewPath("metadata"))
	errs = append(errs, validateBindingSpec(b, field.NewPath("spec"))...)
	now, before, path := b.GetSpec().Resource, old.GetSpec().Resource, field.NewPath("spec", "resource")
	errs = append(errs, fieldcheck.Unchanged(groupOf(now.APIVersion), groupOf(before.APIVersion), path.Child("apiVersion"))...)
	errs = append(errs, fieldcheck.Unchanged(now.Kind, before.Kind, path.Child("kind"))...)
	errs = append(errs, fieldcheck.Unchanged(now.Namespace, before.Namespace, path.Child("namespace"))...)
	return append(errs, fieldcheck.Unchanged(now.Name, before.Name, path.Child("name"))...)
}

func groupOf(apiVersion string) string {
	return schema.FromAPIVersionAndKind(apiVersion, "").Group
}

func validateBindingSpec(b work.Binding, path *field.Path) field.ErrorList {
	spec := b.GetSpec()
	errs := validateResource(spec.Resource, b.GetNamespace(), path.Child("resource"))
	errs = append(errs, validateDecision(spec, path)...)
	errs = append(errs, validateReplicaNeeds(spec, path)...)
	errs = append(errs, validateTombstones(spec.Tombstones, path.Child("tombstones"))...)
	errs = append(errs, validateOverrides(spec.Overrides, path.Child("overrides"))...)
	errs = append(errs, validateVersions(spec, path.Child("versions"))...)
	errs = append(errs, validateEvictions(spec.GracefulEvictionTasks, path.Child("gracefulEvictionTasks"))...)
	return append(errs, validateRequiredBy(spec.RequiredBy, path.Child("requiredBy"))...)
}

func validateResource(resource work.ObjectReference, namespace string, path *field.Path) field.ErrorList {
	errs := fieldcheck.GroupVersion(resource.APIVersion, path.Child("apiVersion"))
	errs = append(errs, fieldcheck.Kind(resource.Kind, path.Child("kind"))...)
	errs = append(errs, fieldcheck.ObjectName(resource.Name, path.Child("name"))...)
	errs = append(errs, fieldcheck.Required(resource.UID, path.Child("uid"))...)
	if resource.Namespace != namespace {
		errs = append(errs, field.Invalid(path.Child("namespace"), resource.Namespace, "must be the namespace of the binding"))
	}
	return errs
}

func validateDecision(spec *work.BindingSpec, path *field.Path) field.ErrorList {
	errs := validateTargets(spec.Clusters, path.Child("clusters"))
	if spec.Policy != nil {
		errs = append(errs, fieldcheck.Subdomain(spec.Policy.Name, path.Child("policy", "name"))...)
	}
	if spec.Placement != nil {
		errs = append(errs, policyvalidation.ValidatePlacement(spec.Placement, path.Child("placement"))...)
	}
	errs = append(errs, fieldcheck.Subdomain(spec.SchedulerName, path.Child("schedulerName"))...)
	errs = append(errs, policyvalidation.ValidateFailover(spec.Failover, path.Child("failover"))...)
	errs = append(errs, policyvalidation.ValidateConflictResolution(spec.ConflictResolution, path.Child("conflictResolution"))...)
	errs = append(errs, fieldcheck.OptionalEnum(spec.RecreatePolicy, path.Child("recreatePolicy"), policy.RecreateNever, policy.RecreateOnImmutableChange)...)
	if s := spec.Suspension; s != nil {
		errs = append(errs, policyvalidation.ValidateSuspendDispatching(s.Dispatching, s.DispatchingOnClusters, path.Child("suspension"))...)
	}
	return errs
}

func validateReplicaNeeds(spec *work.BindingSpec, path *field.Path) field.ErrorList {
	errs := fieldcheck.NotLess(spec.Replicas, 0, path.Child("replicas"))
	errs = append(errs, fieldcheck.MaxLength(spec.ReplicaRevision, fieldcheck.MaxExpressionLength, path.Child("replicaRevision"))...)
	errs = append(errs, validateRequirements(spec.ReplicaRequirements, path.Child("replicaRequirements"))...)
	path = path.Child("components")
	for i, component := range spec.Components {
		where := path.Index(i)
		errs = append(errs, fieldcheck.Required(component.Name, where.Child("name"))...)
		errs = append(errs, fieldcheck.NotLess(component.Replicas, 0, where.Child("replicas"))...)
		errs = append(errs, validateRequirements(component.ReplicaRequirements, where.Child("replicaRequirements"))...)
	}
	return append(errs, fieldcheck.Unique(spec.Components, path, func(c work.Component, path *field.Path) (string, *field.Path) {
		return c.Name, path.Child("name")
	})...)
}

func validateRequirements(requirements *work.ReplicaRequirements, path *field.Path) field.ErrorList {
	if requirements == nil {
		return nil
	}
	errs := fieldcheck.Resources(requirements.ResourceRequest, path.Child("resourceRequest"))
	if claim := requirements.NodeClaim; claim != nil {
		where := path.Child("nodeClaim")
		errs = append(errs, fieldcheck.Tolerations(claim.Tolerations, where.Child("tolerations"))...)
		errs = append(errs, metav1validation.ValidateLabels(claim.NodeSelector, where.Child("nodeSelector"))...)
		errs = append(errs, validateNodeAffinity(claim.HardNodeAffinity, where.Child("hardNodeAffinity"))...)
	}
	return errs
}

func validateNodeAffinity(affinity *corev1.NodeSelector, path *field.Path) field.ErrorList {
	if affinity != nil && len(affinity.NodeSelectorTerms) == 0 {
		return field.ErrorList{field.Required(path.Child("nodeSelectorTerms"), "at least one term")}
	}
	return nil
}

func validateTargets(targets []work.TargetCluster, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, target := range targets {
		errs = append(errs, clustervalidation.ClusterReference(target.Name, path.Index(i).Child("name"))...)
		errs = append(errs, fieldcheck.NotLess(target.Replicas, 0, path.Index(i).Child("replicas"))...)
	}
	return append(errs, fieldcheck.Unique(targets, path, func(t work.TargetCluster, path *field.Path) (string, *field.Path) {
		return t.Name, path.Child("name")
	})...)
}

func validateTombstones(tombstones []work.Tombstone, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, tombstone := range tombstones {
		errs = append(errs, clustervalidation.ClusterReference(tombstone.ClusterName, path.Index(i).Child("clusterName"))...)
		errs = append(errs, fieldcheck.Required(tombstone.UID, path.Index(i).Child("uid"))...)
	}
	return append(errs, fieldcheck.Unique(tombstones, path, func(t work.Tombstone, path *field.Path) (string, *field.Path) {
		return t.ClusterName + "/" + string(t.UID), path
	})...)
}

func validateOverrides(overrides []work.ResolvedOverride, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range overrides {
		override, where := &overrides[i], path.Index(i)
		errs = append(errs, fieldcheck.Subdomain(override.Policy.Name, where.Child("policy", "name"))...)
		errs = append(errs, clustervalidation.ClusterNames(override.Clusters, where.Child("clusters"))...)
		errs = append(errs, policyvalidation.ValidateOverriders(&override.Overriders, where.Child("overriders"))...)
		for j := range override.Facts {
			errs = append(errs, clustervalidation.ClusterReference(override.Facts[j].Name, where.Child("facts").Index(j).Child("name"))...)
		}
		errs = append(errs, fieldcheck.Unique(override.Facts, where.Child("facts"), func(f work.ClusterFacts, path *field.Path) (string, *field.Path) {
			return f.Name, path.Child("name")
		})...)
	}
	return errs
}

// validateVersions refuses versions of another group, and two for one member.
func validateVersions(spec *work.BindingSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	group, clusters := groupOf(spec.Resource.APIVersion), []string(nil)
	for i, version := range spec.Versions {
		where := path.Index(i)
		errs = append(errs, fieldcheck.GroupVersion(version.APIVersion, where.Child("apiVersion"))...)
		if groupOf(version.APIVersion) != group {
			errs = append(errs, field.Invalid(where.Child("apiVersion"), version.APIVersion, "must be of the group of resource.apiVersion"))
		}
		if len(version.Clusters) == 0 {
			errs = append(errs, field.Required(where.Child("clusters"), "at least one"))
		}
		errs = append(errs, clustervalidation.ClusterNames(version.Clusters, where.Child("clusters"))...)
		clusters = append(clusters, version.Clusters...)
	}
	return append(errs, fieldcheck.Unique(clusters, path, func(name string, path *field.Path) (string, *field.Path) { return name, path })...)
}

func validateEvictions(tasks []work.GracefulEvictionTask, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, task := range tasks {
		where := path.Index(i)
		errs = append(errs, clustervalidation.ClusterReference(task.FromCluster, where.Child("fromCluster"))...)
		errs = append(errs, fieldcheck.OptionalEnum(task.PurgeMode, where.Child("purgeMode"), policy.PurgeDirectly, policy.PurgeGracefully, policy.PurgeNever)...)
		errs = append(errs, fieldcheck.Required(task.Reason, where.Child("reason"))...)
		errs = append(errs, fieldcheck.Required(task.Producer, where.Child("producer"))...)
		if task.Replicas != nil {
			errs = append(errs, fieldcheck.NotLess(*task.Replicas, 0, where.Child("replicas"))...)
		}
		if task.GracePeriodSeconds != nil {
			errs = append(errs, fieldcheck.NotLess(*task.GracePeriodSeconds, 0, where.Child("gracePeriodSeconds"))...)
		}
	}
	return errs
}

func validateRequiredBy(snapshots []work.BindingSnapshot, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, snapshot := range snapshots {
		errs = append(errs, fieldcheck.Subdomain(snapshot.Name, path.Index(i).Child("name"))...)
		errs = append(errs, validateTargets(snapshot.Clusters, path.Index(i).Child("clusters"))...)
	}
	return append(errs, fieldcheck.Unique(snapshots, path, func(s work.BindingSnapshot, path *field.Path) (string, *field.Path) {
		return s.Namespace + "/" + s.Name, path
	})...)
}

// ValidateBindingStatusUpdate validates a changed status of a binding of either
// scope.
func ValidateBindingStatusUpdate(b, old work.Binding) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMetaAccessorUpdate(b, old, field.NewPath("metadata"))
	path, status := field.NewPath("status"), b.GetStatus()
	errs = append(errs, metav1validation.ValidateConditions(status.Conditions, path.Child("conditions"))...)
	items := path.Child("aggregatedStatus")
	for i, item := range status.AggregatedStatus {
		errs = append(errs, clustervalidation.ClusterReference(item.ClusterName, items.Index(i).Child("clusterName"))...)
		errs = append(errs, validateHealth(item.Health, items.Index(i).Child("health"))...)
		errs = append(errs, validateUnschedulable(item.Unschedulable, items.Index(i).Child("unschedulable"))...)
	}
	errs = append(errs, fieldcheck.Unique(status.AggregatedStatus, items, func(item work.AggregatedStatusItem, path *field.Path) (string, *field.Path) {
		return item.ClusterName, path.Child("clusterName")
	})...)
	return append(errs, fieldcheck.Unique(status.Reasons, path.Child("reasons"), func(reason work.ClusterReason, path *field.Path) (string, *field.Path) {
		return reason.ClusterName, path.Child("clusterName")
	})...)
}

func validateHealth(health work.ResourceHealth, path *field.Path) field.ErrorList {
	return fieldcheck.OptionalEnum(health, path, work.ResourceHealthy, work.ResourceUnhealthy, work.ResourceUnknown)
}
