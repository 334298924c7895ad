// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

// FailoverBehavior says when and how a template leaves a member.
type FailoverBehavior struct {
	Application *ApplicationFailoverBehavior
	Cluster     *ClusterFailoverBehavior
}

// ApplicationFailoverBehavior moves a template away from where it is unhealthy.
type ApplicationFailoverBehavior struct {
	DecisionConditions DecisionConditions
	PurgeMode          PurgeMode
	GracePeriodSeconds *int32
	StatePreservation  *StatePreservation
}

// DecisionConditions say when a template counts as unhealthy for good.
type DecisionConditions struct {
	TolerationSeconds *int32
}

// ClusterFailoverBehavior refines how templates leave a tainted member.
type ClusterFailoverBehavior struct {
	PurgeMode         PurgeMode
	StatePreservation *StatePreservation
}

// PurgeMode says how the old copy of a moved template goes.
type PurgeMode string

const (
	// PurgeDirectly removes the old copy at once.
	PurgeDirectly PurgeMode = "Directly"
	// PurgeGracefully removes the old copy when the new one is healthy, or
	// after the grace period.
	PurgeGracefully PurgeMode = "Gracefully"
	// PurgeNever leaves the old copy to the user.
	PurgeNever PurgeMode = "Never"
)

// StatePreservation carries state from the old copy of a template to the new.
type StatePreservation struct {
	Rules []StatePreservationRule
}

// StatePreservationRule reads one value from the status of the old copy and
// puts it on the new one as a label.
type StatePreservationRule struct {
	AliasLabelName string
	JSONPath       string
}
