// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"

	"fleet.dev/fleet/pkg/syncer"
)

// PushOptions are the flags of push mode.
type PushOptions struct {
	// Kubeconfig reaches the fleet; empty means the service account of the pod
	// this process runs in.
	Kubeconfig string
	// Rotation says when the tokens of members are replaced.
	Rotation syncer.Rotation
	// Members are regular expressions, each for whole names of Clusters. None
	// means all members.
	Members []string
}

func (o *PushOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig,
		"Path to a kubeconfig of the fleet. Empty means the service account of the pod this runs in.")
	flags.StringSliceVar(&o.Members, "members", o.Members,
		"Members to serve: names of Clusters, or regular expressions that match whole names, separated by commas. Empty means all in Push mode.")
	o.Rotation.AddFlags(flags)
}

// component returns a syncer that serves members from beside the fleet.
func (o *PushOptions) component(workers int) (*component, error) {
	serves, err := o.serves()
	if err != nil {
		return nil, err
	}
	fleetConfig, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("load the kubeconfig of the fleet (--kubeconfig): %w", err)
	}
	s, err := syncer.New(syncer.Config{FleetConfig: fleetConfig, Members: syncer.Push(serves), Rotation: o.Rotation, Workers: workers})
	if err != nil {
		return nil, err
	}
	return &component{
		name: "syncer", run: s.Run, ready: func() error { return nil },
		home: fleetConfig, homeFile: o.Kubeconfig,
	}, nil
}

func (o *PushOptions) validate() []error {
	var errs []error
	if _, err := o.serves(); err != nil {
		errs = append(errs, err)
	}
	if err := o.Rotation.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// unused returns what is set though it has no meaning.
func (o *PushOptions) unused() []error {
	var errs []error
	if o.Kubeconfig != "" {
		errs = append(errs, errors.New("--kubeconfig has no meaning in pull mode: the fleet is where \"fleet register\" said, the member is reached by --member-kubeconfig"))
	}
	if len(o.Members) > 0 {
		errs = append(errs, errors.New("--members has no meaning in pull mode: the member is named by --cluster"))
	}
	return errs
}

// serves returns the choice of members, nil for all.
func (o *PushOptions) serves() (func(string) bool, error) {
	if len(o.Members) == 0 {
		return nil, nil
	}
	var patterns []string
	for _, member := range o.Members {
		if _, err := regexp.Compile(member); err != nil {
			return nil, fmt.Errorf("--members has %q: %w", member, err)
		}
		patterns = append(patterns, "(?:"+member+")")
	}
	whole, err := regexp.Compile("^(?:" + strings.Join(patterns, "|") + ")$")
	if err != nil {
		return nil, fmt.Errorf("--members is %q: %w", o.Members, err)
	}
	return whole.MatchString, nil
}

// leaseName returns the name of the lease of those that serve the same members.
func (o *PushOptions) leaseName(name string) string {
	if len(o.Members) == 0 {
		return name
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(strings.Join(o.Members, ",")))
	return fmt.Sprintf("%s-%08x", name, hash.Sum32())
}
