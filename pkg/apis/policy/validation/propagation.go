// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"strings"

	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	clustervalidation "fleet.dev/fleet/pkg/apis/cluster/validation"
	"fleet.dev/fleet/pkg/apis/fieldcheck"
	"fleet.dev/fleet/pkg/apis/policy"
)

// ValidatePropagation validates a new policy of either scope.
func ValidatePropagation(p policy.Propagation) field.ErrorList {
	_, namespaced := p.(*policy.PropagationPolicy)
	errs := apimachineryvalidation.ValidateObjectMetaAccessor(p, namespaced, apimachineryvalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, validatePropagationSpec(p, field.NewPath("spec"))...)
}

// ValidatePropagationUpdate validates a changed policy of either scope.
func ValidatePropagationUpdate(p, old policy.Propagation) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMetaAccessorUpdate(p, old, field.NewPath("metadata"))
	errs = append(errs, validatePropagationSpec(p, field.NewPath("spec"))...)
	return append(errs, fieldcheck.Unchanged(p.GetSpec().SchedulerName, old.GetSpec().SchedulerName, field.NewPath("spec", "schedulerName"))...)
}

func validatePropagationSpec(p policy.Propagation, path *field.Path) field.ErrorList {
	spec := p.GetSpec()
	var errs field.ErrorList
	if len(spec.ResourceSelectors) == 0 {
		errs = append(errs, field.Required(path.Child("resourceSelectors"), "at least one selector"))
	}
	errs = append(errs, validateResourceSelectors(spec.ResourceSelectors, p.GetNamespace(), path.Child("resourceSelectors"))...)
	errs = append(errs, ValidatePlacement(&spec.Placement, path.Child("placement"))...)
	errs = append(errs, fieldcheck.Enum(spec.Preemption, path.Child("preemption"), policy.PreemptAlways, policy.PreemptNever)...)
	for i, name := range spec.DependentOverrides {
		errs = append(errs, fieldcheck.Subdomain(name, path.Child("dependentOverrides").Index(i))...)
	}
	errs = append(errs, fieldcheck.Unique(spec.DependentOverrides, path.Child("dependentOverrides"), fieldcheck.Itself[string])...)
	errs = append(errs, fieldcheck.Subdomain(spec.SchedulerName, path.Child("schedulerName"))...)
	errs = append(errs, ValidateFailover(spec.Failover, path.Child("failover"))...)
	errs = append(errs, ValidateConflictResolution(spec.ConflictResolution, path.Child("conflictResolution"))...)
	errs = append(errs, fieldcheck.Enum(spec.RecreatePolicy, path.Child("recreatePolicy"), policy.RecreateNever, policy.RecreateOnImmutableChange)...)
	errs = append(errs, fieldcheck.OptionalEnum(spec.ActivationPreference, path.Child("activationPreference"), policy.ActivateLazily)...)
	if s := spec.Suspension; s != nil {
		errs = append(errs, ValidateSuspendDispatching(s.Dispatching, s.DispatchingOnClusters, path.Child("suspension"))...)
	}
	return append(errs, validateSchedulePriority(spec.SchedulePriority, path.Child("schedulePriority"))...)
}

// validateResourceSelectors validates the selectors of a policy; namespace is
// that of the policy, empty for a cluster policy.
func validateResourceSelectors(selectors []policy.ResourceSelector, namespace string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, selector := range selectors {
		where := path.Index(i)
		if selector.APIVersion != policy.AnyResource {
			errs = append(errs, fieldcheck.GroupVersion(selector.APIVersion, where.Child("apiVersion"))...)
		}
		if selector.Kind != policy.AnyResource {
			errs = append(errs, fieldcheck.Kind(selector.Kind, where.Child("kind"))...)
		}
		if selector.Namespace != "" {
			errs = append(errs, fieldcheck.Namespace(selector.Namespace, where.Child("namespace"))...)
		}
		if namespace != "" && selector.Namespace != "" && selector.Namespace != namespace {
			errs = append(errs, field.Invalid(where.Child("namespace"), selector.Namespace, "must be the namespace of the policy; a cluster policy selects in others"))
		}
		if selector.Name != "" {
			errs = append(errs, fieldcheck.ObjectName(selector.Name, where.Child("name"))...)
		}
		errs = append(errs, metav1validation.ValidateLabelSelector(selector.LabelSelector, metav1validation.LabelSelectorValidationOptions{}, where.Child("labelSelector"))...)
	}
	return errs
}

// ValidateConflictResolution accepts the ways to resolve a conflict.
func ValidateConflictResolution(resolution policy.ConflictResolution, path *field.Path) field.ErrorList {
	return fieldcheck.Enum(resolution, path, policy.ConflictAbort, policy.ConflictOverwrite, policy.ConflictIfNoDiff)
}

// ValidateSuspendDispatching accepts a suspension of all members or of some.
func ValidateSuspendDispatching(all *bool, some *policy.SuspendClusters, path *field.Path) field.ErrorList {
	if some == nil {
		return nil
	}
	var errs field.ErrorList
	if all != nil {
		errs = append(errs, field.Forbidden(path.Child("dispatchingOnClusters"), "may not be set together with dispatching"))
	}
	return append(errs, clustervalidation.ClusterNames(some.ClusterNames, path.Child("dispatchingOnClusters", "clusterNames"))...)
}

func validateSchedulePriority(priority *policy.SchedulePriority, path *field.Path) field.ErrorList {
	if priority == nil {
		return nil
	}
	if priority.PriorityClassSource == policy.FederatedPriorityClass {
		return field.ErrorList{field.Invalid(path.Child("priorityClassSource"), priority.PriorityClassSource,
			"is not served: the PriorityClasses of the fleet are those of all members; use KubePriorityClass")}
	}
	errs := fieldcheck.Enum(priority.PriorityClassSource, path.Child("priorityClassSource"), policy.KubePriorityClass, policy.PodPriorityClass)
	switch {
	case priority.PriorityClassSource != policy.PodPriorityClass:
		errs = append(errs, fieldcheck.Subdomain(priority.PriorityClassName, path.Child("priorityClassName"))...)
	case priority.PriorityClassName != "":
		errs = append(errs, field.Forbidden(path.Child("priorityClassName"), "may not be set with PodPriorityClass, which takes the name from the Pod template"))
	}
	return errs
}

// ValidateFailover accepts when and how a template leaves a member.
func ValidateFailover(failover *policy.FailoverBehavior, path *field.Path) field.ErrorList {
	if failover == nil {
		return nil
	}
	var errs field.ErrorList
	if application := failover.Application; application != nil {
		errs = append(errs, validateApplicationFailover(application, path.Child("application"))...)
	}
	if cluster := failover.Cluster; cluster != nil {
		where := path.Child("cluster")
		errs = append(errs, fieldcheck.Enum(cluster.PurgeMode, where.Child("purgeMode"), policy.PurgeDirectly, policy.PurgeGracefully)...)
		errs = append(errs, validateStatePreservation(cluster.StatePreservation, where.Child("statePreservation"))...)
	}
	return errs
}

func validateApplicationFailover(application *policy.ApplicationFailoverBehavior, path *field.Path) field.ErrorList {
	errs := fieldcheck.Enum(application.PurgeMode, path.Child("purgeMode"), policy.PurgeDirectly, policy.PurgeGracefully, policy.PurgeNever)
	if seconds := application.DecisionConditions.TolerationSeconds; seconds != nil {
		errs = append(errs, fieldcheck.NotLess(*seconds, 0, path.Child("decisionConditions", "tolerationSeconds"))...)
	}
	if seconds := application.GracePeriodSeconds; seconds != nil {
		errs = append(errs, fieldcheck.NotLess(*seconds, 1, path.Child("gracePeriodSeconds"))...)
		if application.PurgeMode != policy.PurgeGracefully {
			errs = append(errs, field.Forbidden(path.Child("gracePeriodSeconds"), "may be set only when purgeMode is Gracefully"))
		}
	}
	return append(errs, validateStatePreservation(application.StatePreservation, path.Child("statePreservation"))...)
}

func validateStatePreservation(preservation *policy.StatePreservation, path *field.Path) field.ErrorList {
	if preservation == nil {
		return nil
	}
	path = path.Child("rules")
	var errs field.ErrorList
	if len(preservation.Rules) == 0 {
		errs = append(errs, field.Required(path, "at least one rule"))
	}
	for i, rule := range preservation.Rules {
		where := path.Index(i)
		errs = append(errs, fieldcheck.LabelKey(rule.AliasLabelName, where.Child("aliasLabelName"))...)
		if !strings.HasPrefix(rule.JSONPath, "{") || !strings.HasSuffix(rule.JSONPath, "}") {
			errs = append(errs, field.Invalid(where.Child("jsonPath"), rule.JSONPath, "must be a JSONPath in braces, for example {.availableReplicas}"))
		}
	}
	return append(errs, fieldcheck.Unique(preservation.Rules, path, func(rule policy.StatePreservationRule, path *field.Path) (string, *field.Path) {
		return rule.AliasLabelName, path.Child("aliasLabelName")
	})...)
}
