// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime"
)

// DefaultGracePeriodSeconds is how long a purge with mode Gracefully waits.
const DefaultGracePeriodSeconds int32 = 600

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_ApplicationFailoverBehavior gives a graceful purge its grace
// period.
func SetDefaults_ApplicationFailoverBehavior(behavior *ApplicationFailoverBehavior) {
	if behavior.PurgeMode == "" {
		behavior.PurgeMode = PurgeGracefully
	}
	if behavior.PurgeMode == PurgeGracefully && behavior.GracePeriodSeconds == nil {
		behavior.GracePeriodSeconds = new(DefaultGracePeriodSeconds)
	}
}

// SetDefaults_SpreadConstraint spreads by member when nothing else is named.
func SetDefaults_SpreadConstraint(constraint *SpreadConstraint) {
	if constraint.SpreadByField == "" && constraint.SpreadByLabel == "" {
		constraint.SpreadByField = SpreadByFieldCluster
	}
}

// SetDefaults_ReplicaSchedulingStrategy divides by weight when nothing is said.
func SetDefaults_ReplicaSchedulingStrategy(strategy *ReplicaSchedulingStrategy) {
	if strategy.ReplicaSchedulingType == "" {
		strategy.ReplicaSchedulingType = Divided
	}
	if strategy.ReplicaSchedulingType == Divided && strategy.ReplicaDivisionPreference == "" {
		strategy.ReplicaDivisionPreference = Weighted
	}
}
