// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"fleet.dev/fleet/pkg/agent"
	"fleet.dev/fleet/pkg/apis/cluster/identity"
)

// errNoTunnel says what an agent that is not ready lacks.
var errNoTunnel = errors.New("there is no tunnel to the fleet")

// PullOptions are the flags of pull mode.
type PullOptions struct {
	// Cluster is the name of the member in the fleet.
	Cluster string
	// MemberKubeconfig reaches the member; empty means the service account of the
	// pod this process runs in.
	MemberKubeconfig string
	// BootstrapKubeconfig is a file with what the Secret of the agent has else.
	BootstrapKubeconfig string
	// CertificateDuration is the life of certificates to ask for.
	CertificateDuration time.Duration
}

func (o *PullOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Cluster, "cluster", o.Cluster,
		"Name of the member in the fleet. Required.")
	flags.StringVar(&o.MemberKubeconfig, "member-kubeconfig", o.MemberKubeconfig,
		"Path to a kubeconfig of the member. Empty means the service account of the pod this runs in.")
	flags.StringVar(&o.BootstrapKubeconfig, "bootstrap-kubeconfig", o.BootstrapKubeconfig,
		"Path to a kubeconfig with the address and CA of the fleet and a bootstrap token. Another one than before registers the member again. Empty means key bootstrap-kubeconfig of Secret fleet-system/fleet-agent in the member.")
	flags.DurationVar(&o.CertificateDuration, "certificate-duration", o.CertificateDuration,
		"Life of the certificates to ask the fleet for; they are renewed after 70 to 90 % of it. At least 10m, at most 24h.")
}

// component returns an agent.
func (o *PullOptions) component(workers int) (*component, error) {
	config := agent.Config{Cluster: o.Cluster, Member: o.member, Lifetime: o.CertificateDuration, Workers: workers}
	if o.BootstrapKubeconfig != "" {
		var err error
		if config.Bootstrap, err = os.ReadFile(o.BootstrapKubeconfig); err != nil {
			return nil, fmt.Errorf("read --bootstrap-kubeconfig: %w", err)
		}
	}
	memberConfig, err := o.member()
	if err != nil {
		return nil, err
	}
	a, err := agent.New(config)
	if err != nil {
		return nil, err
	}
	ready := func() error {
		if !a.Connected() {
			return errNoTunnel
		}
		return nil
	}
	return &component{name: "agent", run: a.Run, ready: ready, home: memberConfig, homeFile: o.MemberKubeconfig}, nil
}

// member returns how to reach the member, with what the files say now.
func (o *PullOptions) member() (*rest.Config, error) {
	if o.MemberKubeconfig == "" {
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("reach the member: this process does not run in a Pod, so --member-kubeconfig is required")
		}
		return config, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.MemberKubeconfig)
	if err != nil {
		return nil, fmt.Errorf("load the kubeconfig of the member (--member-kubeconfig): %w", err)
	}
	return config, nil
}

func (o *PullOptions) validate() []error {
	var errs []error
	if o.Cluster == "" {
		errs = append(errs, errors.New("--cluster is required in pull mode: the name of the member in the fleet"))
	}
	if o.CertificateDuration < leastCertificateDuration || o.CertificateDuration > identity.MaxLifetime {
		errs = append(errs, fmt.Errorf("--certificate-duration is %s, must be from %s to %s", o.CertificateDuration, leastCertificateDuration, identity.MaxLifetime))
	}
	return errs
}

// unused returns what is set though it has no meaning.
func (o *PullOptions) unused() []error {
	var errs []error
	for flag, value := range map[string]string{
		"--cluster": o.Cluster, "--member-kubeconfig": o.MemberKubeconfig, "--bootstrap-kubeconfig": o.BootstrapKubeconfig,
	} {
		if value != "" {
			errs = append(errs, fmt.Errorf("%s has a meaning with --mode=%s only", flag, modePull))
		}
	}
	return errs
}

// asExit is the error the process ends with: an agent whose member has left the
// fleet has done its work.
func asExit(err error) error {
	if errors.Is(err, agent.ErrLeft) {
		return nil
	}
	return err
}
