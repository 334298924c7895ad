// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"fleet.dev/fleet/cmd/fleet/join"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// errNoKubeconfig says that nothing tells where the fleet is.
var errNoKubeconfig = errors.New("no kubeconfig of a fleet found: set KUBECONFIG, or name one with --kubeconfig (fleet server writes kubeconfigs/admin.kubeconfig in its --data-dir)")

// kubeconfigFlags say how to reach an API server, by kubectl's rules.
type kubeconfigFlags struct {
	rules     *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
}

func newKubeconfigFlags() *kubeconfigFlags {
	return &kubeconfigFlags{rules: clientcmd.NewDefaultClientConfigLoadingRules()}
}

// add adds kubectl's flags under kubectl's names. Those that are seldom used work
// and are not listed.
func (f *kubeconfigFlags) add(flags *pflag.FlagSet) {
	own := pflag.NewFlagSet("connection", pflag.ContinueOnError)
	own.StringVar(&f.rules.ExplicitPath, "kubeconfig", "", "Path to the kubeconfig of the fleet. Without it, $KUBECONFIG or ~/.kube/config is used.")
	clientcmd.BindOverrideFlags(&f.overrides, own, clientcmd.RecommendedConfigOverrideFlags(""))
	own.VisitAll(func(flag *pflag.Flag) {
		flag.Hidden = !slices.Contains([]string{"kubeconfig", "context", "request-timeout"}, flag.Name)
	})
	flags.AddFlagSet(own)
}

// config returns the client configuration.
func (f *kubeconfigFlags) config() (*rest.Config, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(f.rules, &f.overrides).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errNoKubeconfig
	}
	if err != nil {
		return nil, fmt.Errorf("load the kubeconfig: %w", err)
	}
	config.UserAgent = "fleet/" + ownVersion().Version
	config.QPS, config.Burst = -1, 0 // one user's few requests
	return config, nil
}

// contexts returns the names of the contexts to choose from.
func (f *kubeconfigFlags) contexts() []string {
	loaded, err := f.rules.Load()
	if err != nil {
		return nil
	}
	var names []string
	for name := range loaded.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// kubeClient returns a client of Kubernetes' own kinds in the fleet.
func (f *kubeconfigFlags) kubeClient() (kubernetes.Interface, error) {
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the fleet: %w", err)
	}
	return client, nil
}

// fleetClient returns a client of the fleet's own kinds.
func (f *kubeconfigFlags) fleetClient() (fleetclient.Interface, error) {
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	return newFleetClient(config)
}

// fleet returns the fleet for join and unjoin.
func (f *kubeconfigFlags) fleet() (*join.Fleet, error) {
	config, err := f.config()
	if err != nil {
		return nil, err
	}
	kubeClient, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the fleet: %w", err)
	}
	fleetClient, err := newFleetClient(config)
	if err != nil {
		return nil, err
	}
	return join.NewFleet(kubeClient, fleetClient), nil
}

func newFleetClient(config *rest.Config) (fleetclient.Interface, error) {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeJSON
	client, err := fleetclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the fleet: %w", err)
	}
	return client, nil
}
