// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	kubeconfig "k8s.io/kubernetes/pkg/controller/apis/config"
)

const (
	// DefaultQPS is how many requests per second the controllers together send
	// to the fleet. Upstream's 20 is per controller; here they share one client.
	DefaultQPS = 100
	// DefaultBurst is the burst on top of DefaultQPS.
	DefaultBurst = 200
	// LeaseName names the leader election lease in kube-system.
	LeaseName = "fleet-controller-manager"
)

// Config is what a Manager needs.
type Config struct {
	// RESTConfig reaches the fleet. Its rate limits and content types are
	// replaced by those of Kube.Generic.ClientConnection.
	RESTConfig *rest.Config

	// Kube is upstream's component configuration; the parts of controllers that
	// do not run here are ignored. Those that a caller usually sets:
	// SAController.ServiceAccountKeyFile, SAController.RootCAFile (the CA in
	// RESTConfig when empty), CSRSigningController.ClusterSigningCertFile and
	// ClusterSigningKeyFile, Generic.Controllers, Generic.LeaderElection.
	Kube kubeconfig.KubeControllerManagerConfiguration

	// StartTimeout is how long Run waits for the fleet to be ready.
	StartTimeout time.Duration
	// ShutdownTimeout is how long Run waits for controllers to return.
	ShutdownTimeout time.Duration
}

// NewConfig returns the defaults for a fleet: upstream's, with fewer workers except for
// autoscalers, which wait for members, a lease name of its own, and every controller of the table enabled. The rate
// limits of restConfig, which may be nil, are kept if it has some.
func NewConfig(restConfig *rest.Config) (*Config, error) {
	kube, err := options.NewDefaultComponentConfig()
	if err != nil {
		return nil, fmt.Errorf("default the controller manager configuration: %w", err)
	}
	kube.Generic.Controllers = []string{"*"}
	kube.Generic.ClientConnection.QPS = DefaultQPS
	kube.Generic.ClientConnection.Burst = DefaultBurst
	if restConfig != nil && restConfig.QPS != 0 {
		kube.Generic.ClientConnection.QPS = restConfig.QPS
		kube.Generic.ClientConnection.Burst = int32(restConfig.Burst)
	}
	kube.Generic.LeaderElection.ResourceName = LeaseName
	kube.Generic.LeaderElection.ResourceNamespace = "kube-system"
	kube.GarbageCollectorController.ConcurrentGCSyncs = 4
	kube.NamespaceController.ConcurrentNamespaceSyncs = 4
	kube.ResourceQuotaController.ConcurrentResourceQuotaSyncs = 2
	kube.SAController.ConcurrentSATokenSyncs = 2
	kube.TTLAfterFinishedController.ConcurrentTTLSyncs = 1
	kube.ValidatingAdmissionPolicyStatusController.ConcurrentPolicySyncs = 1
	return &Config{
		RESTConfig:      restConfig,
		Kube:            kube,
		StartTimeout:    30 * time.Second,
		ShutdownTimeout: 10 * time.Second,
	}, nil
}

// validate reports everything that is wrong with the configuration at once.
func (c *Config) validate() error {
	var errs []error
	if c.RESTConfig == nil {
		errs = append(errs, errors.New("the configuration of the client to the fleet is missing"))
	}
	known := map[string]bool{}
	for _, name := range Names() {
		known[name] = true
	}
	for _, selected := range canonical(c.Kube.Generic.Controllers) {
		if name := trimMinus(selected); name != "*" && !known[name] {
			errs = append(errs, fmt.Errorf("controller %q is not known, expected one of %q", name, Names()))
		}
	}
	return errors.Join(errs...)
}
