// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// APIVersion and Kind of the file.
const (
	APIVersion = "scheduler.config.fleet.dev/v1alpha1"
	Kind       = "SchedulerConfiguration"
)

// SchedulerConfiguration configures the scheduler.
type SchedulerConfiguration struct {
	metav1.TypeMeta `json:",inline"`

	// Parallelism is how many decisions are written at a time, at least 1.
	// Defaults to 16.
	Parallelism int `json:"parallelism,omitempty"`
	// InitialBackoff after a first failure of a template; it doubles with each
	// further one. Defaults to 20ms.
	InitialBackoff metav1.Duration `json:"initialBackoff,omitempty"`
	// MaxBackoff is where it stops doubling, not less than initialBackoff.
	// Defaults to 10s.
	MaxBackoff metav1.Duration `json:"maxBackoff,omitempty"`
	// PromiseLifetime is how long replicas that were just placed are counted
	// against the free capacity a member reports at most, when its reports do not
	// say that they show them. Defaults to 15s.
	PromiseLifetime metav1.Duration `json:"promiseLifetime,omitempty"`
	// PendingGracePeriod is how long a member finds no node for Pods before their
	// replicas move to members that have room. Not less than 0s, which stands for
	// the default, 60s.
	PendingGracePeriod metav1.Duration `json:"pendingGracePeriod,omitempty"`
	// Profiles are sets of plugins; a policy chooses one with schedulerName.
	// Policies that name none of them are left to other schedulers. Defaults to
	// one, default-scheduler, with the plugins built in.
	Profiles []Profile `json:"profiles,omitempty"`
}

// Profile is a set of plugins.
type Profile struct {
	// SchedulerName is the name policies choose the profile by. Required, unique.
	SchedulerName string `json:"schedulerName"`
	// Plugins changes the built-in set.
	Plugins Plugins `json:"plugins,omitempty"`
}

// Plugins changes the built-in set of plugins. A plugin runs at all the
// extension points it implements.
type Plugins struct {
	// Disabled names built-in plugins that do not run; * means all.
	Disabled []string `json:"disabled,omitempty"`
	// Enabled are plugins that run after the built-in ones, in this order. A
	// built-in one that is named here takes this weight and these args, in its
	// place.
	Enabled []Plugin `json:"enabled,omitempty"`
}

// Plugin is one plugin.
type Plugin struct {
	// Name in the registry. Required.
	Name string `json:"name"`
	// Weight of its scores, not negative. Defaults to 1, or to that of the
	// built-in set.
	Weight int64 `json:"weight,omitempty"`
	// Args are what the plugin reads.
	Args json.RawMessage `json:"args,omitempty"`
}
