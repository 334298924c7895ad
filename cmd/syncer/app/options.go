// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	cliflag "k8s.io/component-base/cli/flag"
	componentbaseconfig "k8s.io/component-base/config"
	leaderelectionoptions "k8s.io/component-base/config/options"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/election"
	"fleet.dev/fleet/pkg/serving"
	"fleet.dev/fleet/pkg/syncer"
)

// Modes.
const (
	modePush = "push"
	modePull = "pull"
)

const (
	// securePort is where health and metrics are served by default.
	securePort = 10359
	// leastCertificateDuration is what the API of certificate signing requests
	// and the stock signer agree to.
	leastCertificateDuration = 10 * time.Minute
)

// Options is what the flags set.
type Options struct {
	// Mode is push or pull.
	Mode string
	// Workers is how many works of one member are looked at together.
	Workers int
	Push    PushOptions
	Pull    PullOptions
	// LeaderElection names its Lease by mode, unless a flag does.
	LeaderElection componentbaseconfig.LeaderElectionConfiguration
	// Serving is where health and metrics are served.
	Serving *serving.Options
	Logs    *logs.Options
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		Mode:           modePush,
		Workers:        syncer.DefaultWorkers,
		Push:           PushOptions{Rotation: syncer.DefaultRotation()},
		Pull:           PullOptions{CertificateDuration: identity.MaxLifetime},
		LeaderElection: election.Defaults(wellknown.SyncerName, metav1.NamespaceSystem),
		Serving:        serving.NewOptions("syncer", securePort),
		Logs:           logs.NewOptions(),
	}
}

// Flags returns the flags in the groups of the help text.
func (o *Options) Flags() cliflag.NamedFlagSets {
	var fss cliflag.NamedFlagSets
	generic := fss.FlagSet("generic")
	generic.StringVar(&o.Mode, "mode", o.Mode,
		"Who opens the connection between fleet and member: push, in which this process connects to members, or pull, in which it runs in a member and connects to the fleet.")
	generic.IntVar(&o.Workers, "workers-per-member", o.Workers,
		"How many works of one member are looked at together.")
	leaderelectionoptions.BindLeaderElectionFlags(&o.LeaderElection, generic)
	utilfeature.DefaultMutableFeatureGate.AddFlag(generic)

	o.Push.addFlags(fss.FlagSet("push mode"))
	o.Pull.addFlags(fss.FlagSet("pull mode"))
	o.Serving.AddFlags(&fss)
	logsapi.AddFlags(o.Logs, fss.FlagSet("logs"))
	return fss
}

// component validates the options and returns what to run.
func (o *Options) component() (*component, error) {
	if err := utilerrors.NewAggregate(o.validate()); err != nil {
		return nil, err
	}
	if o.Mode == modePull {
		return o.Pull.component(o.Workers)
	}
	return o.Push.component(o.Workers)
}

func (o *Options) validate() []error {
	var errs []error
	switch o.Mode {
	case modePush:
		errs = slices.Concat(o.Push.validate(), o.Pull.unused())
	case modePull:
		errs = slices.Concat(o.Pull.validate(), o.Push.unused())
	default:
		errs = append(errs, fmt.Errorf("--mode is %q, must be %q or %q", o.Mode, modePush, modePull))
	}
	if o.Workers < 1 {
		errs = append(errs, fmt.Errorf("--workers-per-member is %d, must be at least 1", o.Workers))
	}
	if err := election.Validate(o.LeaderElection); err != nil {
		errs = append(errs, err)
	}
	return append(errs, o.Serving.Validate()...)
}

// election returns the settings of the election, with the Lease of the mode: in
// push mode that of those that serve the same members, in the fleet; in pull mode
// the agent's own, in the member.
func (o *Options) election() componentbaseconfig.LeaderElectionConfiguration {
	settings := o.LeaderElection
	if o.Mode == modePush {
		settings.ResourceName = o.Push.leaseName(settings.ResourceName)
		return settings
	}
	byDefault := NewOptions().LeaderElection
	if settings.ResourceName == byDefault.ResourceName {
		settings.ResourceName = wellknown.AgentName
	}
	if settings.ResourceNamespace == byDefault.ResourceNamespace {
		settings.ResourceNamespace = wellknown.NamespaceSystem
	}
	return settings
}
