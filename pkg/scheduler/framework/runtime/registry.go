// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package runtime

import (
	"encoding/json"
	"fmt"

	"fleet.dev/fleet/pkg/scheduler/framework"
)

// PluginFactory makes a plugin. args is what the profile configures for it, nil
// when it configures nothing.
type PluginFactory func(args json.RawMessage, handle framework.Handle) (framework.Plugin, error)

// Registry holds the plugins a profile may name.
type Registry map[string]PluginFactory

// Register adds a plugin; a name that is taken is an error.
func (r Registry) Register(name string, factory PluginFactory) error {
	if _, ok := r[name]; ok {
		return fmt.Errorf("register plugin %q: the name is taken", name)
	}
	r[name] = factory
	return nil
}

// Merge adds all plugins of another registry; a name that is taken is an error.
func (r Registry) Merge(other Registry) error {
	for name, factory := range other {
		if err := r.Register(name, factory); err != nil {
			return err
		}
	}
	return nil
}
