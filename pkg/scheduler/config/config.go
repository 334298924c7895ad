// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins"
	"fleet.dev/fleet/pkg/scheduler/framework/runtime"
)

// all in Plugins.Disabled stands for every built-in plugin.
const all = "*"

// Default returns the configuration of a scheduler without a file.
func Default() *SchedulerConfiguration {
	c := &SchedulerConfiguration{}
	c.setDefaults()
	return c
}

// Load reads a file, sets defaults and validates.
func Load(path string) (*SchedulerConfiguration, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read scheduler configuration: %w", err)
	}
	c, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("read scheduler configuration %q: %w", path, err)
	}
	return c, nil
}

// Decode reads YAML or JSON, sets defaults and validates.
func Decode(data []byte) (*SchedulerConfiguration, error) {
	c := &SchedulerConfiguration{}
	if err := yaml.UnmarshalStrict(data, c); err != nil {
		return nil, err
	}
	if c.APIVersion != APIVersion || c.Kind != Kind {
		return nil, fmt.Errorf("want %s in %s, got %q in %q", Kind, APIVersion, c.Kind, c.APIVersion)
	}
	c.setDefaults()
	return c, c.Validate().ToAggregate()
}

func (c *SchedulerConfiguration) setDefaults() {
	c.APIVersion, c.Kind = APIVersion, Kind
	c.Parallelism = cmp.Or(c.Parallelism, 16)
	c.InitialBackoff = cmp.Or(c.InitialBackoff, metav1.Duration{Duration: 20 * time.Millisecond})
	c.MaxBackoff = cmp.Or(c.MaxBackoff, metav1.Duration{Duration: 10 * time.Second})
	c.PromiseLifetime = cmp.Or(c.PromiseLifetime, metav1.Duration{Duration: 15 * time.Second})
	c.PendingGracePeriod = cmp.Or(c.PendingGracePeriod, metav1.Duration{Duration: time.Minute})
	if len(c.Profiles) == 0 {
		c.Profiles = []Profile{{SchedulerName: wellknown.DefaultSchedulerName}}
	}
}

// Validate returns what is wrong, with paths into the file.
func (c *SchedulerConfiguration) Validate() field.ErrorList {
	var errs field.ErrorList
	if c.Parallelism < 1 {
		errs = append(errs, field.Invalid(field.NewPath("parallelism"), c.Parallelism, "must be at least 1"))
	}
	if c.InitialBackoff.Duration < 0 {
		errs = append(errs, field.Invalid(field.NewPath("initialBackoff"), c.InitialBackoff, "must not be negative"))
	}
	if c.MaxBackoff.Duration < c.InitialBackoff.Duration {
		errs = append(errs, field.Invalid(field.NewPath("maxBackoff"), c.MaxBackoff, "must not be less than initialBackoff"))
	}
	if c.PromiseLifetime.Duration < 0 {
		errs = append(errs, field.Invalid(field.NewPath("promiseLifetime"), c.PromiseLifetime, "must not be negative"))
	}
	if c.PendingGracePeriod.Duration < 0 {
		errs = append(errs, field.Invalid(field.NewPath("pendingGracePeriod"), c.PendingGracePeriod, "must not be negative"))
	}
	names := sets.New[string]()
	for i, profile := range c.Profiles {
		path := field.NewPath("profiles").Index(i)
		switch {
		case profile.SchedulerName == "":
			errs = append(errs, field.Required(path.Child("schedulerName"), ""))
		case names.Has(profile.SchedulerName):
			errs = append(errs, field.Duplicate(path.Child("schedulerName"), profile.SchedulerName))
		}
		names.Insert(profile.SchedulerName)
		errs = append(errs, profile.Plugins.validate(path.Child("plugins"))...)
	}
	return errs
}

func (p Plugins) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	builtIn := plugins.NewRegistry()
	for i, name := range p.Disabled {
		if _, ok := builtIn[name]; !ok && name != all {
			errs = append(errs, field.NotFound(path.Child("disabled").Index(i), name))
		}
	}
	names := sets.New[string]()
	for i, plugin := range p.Enabled {
		at := path.Child("enabled").Index(i)
		switch {
		case plugin.Name == "":
			errs = append(errs, field.Required(at.Child("name"), ""))
		case names.Has(plugin.Name):
			errs = append(errs, field.Duplicate(at.Child("name"), plugin.Name))
		}
		names.Insert(plugin.Name)
		if plugin.Weight < 0 {
			errs = append(errs, field.Invalid(at.Child("weight"), plugin.Weight, "must not be negative"))
		}
	}
	return errs
}

// Resolve returns the plugins of the profile in the order they run.
func (p Profile) Resolve() runtime.Profile {
	resolved := runtime.Profile{SchedulerName: p.SchedulerName}
	for _, builtIn := range plugins.Default() {
		if !slices.Contains(p.Plugins.Disabled, builtIn.Name) && !slices.Contains(p.Plugins.Disabled, all) {
			resolved.Plugins = append(resolved.Plugins, builtIn)
		}
	}
	for _, plugin := range p.Plugins.Enabled {
		enabled := runtime.Enabled{Name: plugin.Name, Weight: plugin.Weight, Args: plugin.Args}
		i := slices.IndexFunc(resolved.Plugins, func(e runtime.Enabled) bool { return e.Name == plugin.Name })
		if i < 0 {
			resolved.Plugins = append(resolved.Plugins, enabled)
			continue
		}
		enabled.Weight = cmp.Or(enabled.Weight, resolved.Plugins[i].Weight)
		resolved.Plugins[i] = enabled
	}
	return resolved
}
