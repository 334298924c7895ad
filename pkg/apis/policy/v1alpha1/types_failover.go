// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// FailoverBehavior says when and how a template leaves a member.
type FailoverBehavior struct {
	// application moves a template away from a member where it is unhealthy.
	// Nil means that it stays.
	// +optional
	Application *ApplicationFailoverBehavior `json:"application,omitempty"`
	// cluster refines how templates leave a member that is tainted NoExecute.
	// +optional
	Cluster *ClusterFailoverBehavior `json:"cluster,omitempty"`
}

// ApplicationFailoverBehavior moves a template away from where it is unhealthy.
type ApplicationFailoverBehavior struct {
	// decisionConditions say when a template counts as unhealthy for good.
	DecisionConditions DecisionConditions `json:"decisionConditions"`
	// purgeMode says how the old copy goes: Directly (at once), Gracefully (when
	// the new one is healthy, or after the grace period) or Never (by hand).
	// Defaults to Gracefully.
	// +optional
	// +default="Gracefully"
	PurgeMode PurgeMode `json:"purgeMode,omitempty"`
	// gracePeriodSeconds is how long the old copy waits for the new one when
	// purgeMode is Gracefully, in seconds. At least 1. Defaults to 600 with
	// Gracefully and is refused with the others.
	// +optional
	GracePeriodSeconds *int32 `json:"gracePeriodSeconds,omitempty"`
	// statePreservation carries state from the old copy to the new one.
	// +optional
	StatePreservation *StatePreservation `json:"statePreservation,omitempty"`
}

// DecisionConditions say when a template counts as unhealthy for good.
type DecisionConditions struct {
	// tolerationSeconds is how long a template may be unhealthy before it moves,
	// in seconds. Not negative. Defaults to 300.
	// +optional
	// +default=300
	TolerationSeconds *int32 `json:"tolerationSeconds,omitempty"`
}

// ClusterFailoverBehavior refines how templates leave a tainted member.
type ClusterFailoverBehavior struct {
	// purgeMode says how the old copy goes: Directly or Gracefully. Defaults to
	// Gracefully.
	// +optional
	// +default="Gracefully"
	PurgeMode PurgeMode `json:"purgeMode,omitempty"`
	// statePreservation carries state from the old copy to the new one.
	// +optional
	StatePreservation *StatePreservation `json:"statePreservation,omitempty"`
}

// PurgeMode says how the old copy of a moved template goes.
// +enum
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
	// rules say which state. At least one.
	// +listType=map
	// +listMapKey=aliasLabelName
	Rules []StatePreservationRule `json:"rules"`
}

// StatePreservationRule reads one value from the status of the old copy and
// puts it on the new one as a label.
type StatePreservationRule struct {
	// aliasLabelName is the label key on the new copy.
	AliasLabelName string `json:"aliasLabelName"`
	// jsonPath is where the value is in the status of the old copy, in the
	// JSONPath of kubectl, for example {.availableReplicas}.
	JSONPath string `json:"jsonPath"`
}
