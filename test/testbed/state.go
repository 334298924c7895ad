// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// state is what a bed remembers in its directory, so that another program can
// find, complete and stop what runs.
type state struct {
	Etcd    etcdPorts     `json:"etcd"`
	Members []memberState `json:"members,omitempty"`
	Fleet   *fleetState   `json:"fleet,omitempty"`
	// FleetPort is the port of a fleet that may not exist yet, for members that
	// dial it. 0 when nobody asked.
	FleetPort int `json:"fleetPort,omitempty"`
	// Processes are the identities of the processes last started, by name.
	Processes map[string]identity `json:"processes,omitempty"`
}

type memberState struct {
	MemberConfig

	Ports memberPorts `json:"ports"`
	// FleetPort is what the member dials, if it can only dial out.
	FleetPort int `json:"fleetPort,omitempty"`
}

type fleetState struct {
	FleetConfig

	Port int `json:"port"`
}

type etcdPorts struct {
	Client int `json:"client"`
	Peer   int `json:"peer"`
}

// ports are all ports of the bed, whether somebody listens on them now or not.
func (s state) ports() []int {
	out := []int{s.Etcd.Client, s.Etcd.Peer}
	for _, m := range s.Members {
		out = append(out, m.Ports.listening()...)
		if m.Ports.Door != 0 {
			out = append(out, m.Ports.Door)
		}
	}
	if s.FleetPort != 0 {
		out = append(out, s.FleetPort)
	}
	if s.Fleet != nil {
		out = append(out, s.Fleet.Port)
	}
	return out
}

const stateFile = "state.json"

// loadState reads the state of the bed in dir; a new bed has the zero state.
func loadState(dir string) (state, error) {
	s := state{Processes: map[string]identity{}}
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return state{}, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return state{}, fmt.Errorf("read %s: %w", filepath.Join(dir, stateFile), err)
	}
	return s, nil
}

// save replaces the state in dir; a reader sees the old one or the new one.
func (s state) save(dir string) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, stateFile)
	if err := os.WriteFile(file+".tmp", append(raw, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".tmp", file)
}
