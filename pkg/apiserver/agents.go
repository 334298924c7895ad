// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/union"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apiserver/agentauth"
)

// defaultRenewalGrace is how long a member may be cut off and come back by itself.
const defaultRenewalGrace = 30 * 24 * time.Hour

// AgentOptions are about members in Pull mode.
type AgentOptions struct {
	// RenewalGrace is for how long an expired certificate of an agent is good to
	// ask for another one, and for nothing else. 0 means not at all.
	RenewalGrace time.Duration
}

func newAgentOptions() AgentOptions { return AgentOptions{RenewalGrace: defaultRenewalGrace} }

func (o *AgentOptions) addFlags(fs *pflag.FlagSet) {
	fs.DurationVar(&o.RenewalGrace, "agent-certificate-renewal-grace", o.RenewalGrace, "How long after its client certificate expired "+
		"the agent of a member may still ask for another one with it, so that a member that was cut off comes back by itself. 0 turns this off.")
}

func (o *AgentOptions) validate() []error {
	if o.RenewalGrace < 0 {
		return []error{errors.New("--agent-certificate-renewal-grace must not be negative")}
	}
	return nil
}

// agents is what the server knows about the agents of members in Pull mode, and
// how it acts on it.
type agents struct {
	clusters    *agentauth.Clusters
	sessions    *agentauth.Sessions
	authorities dynamiccertificates.CAContentProvider
}

// newAgents puts authentication and authorization of agents in front of those of
// everybody else. It has to come before admission is configured, which keeps the
// authorizer.
func newAgents(opts CompletedOptions, config *genericapiserver.Config) (*agents, error) {
	a := &agents{clusters: opts.clusters}
	fleetClient, err := newLoopbackFleetClient(config.LoopbackClientConfig)
	if err != nil {
		return nil, err
	}
	kubeClient, err := kubernetes.NewForConfig(config.LoopbackClientConfig)
	if err != nil {
		return nil, fmt.Errorf("make loopback client: %w", err)
	}
	if err := a.clusters.Connect(fleetClient); err != nil {
		return nil, err
	}
	if a.sessions, err = agentauth.NewSessions(a.clusters); err != nil {
		return nil, err
	}
	if a.authorities, err = opts.Authentication.ClientCert.GetClientCAContentProvider(); err != nil {
		return nil, fmt.Errorf("read the authority of client certificates: %w", err)
	}
	if a.authorities != nil {
		authenticator := &agentauth.Authenticator{Verify: a.authorities.VerifyOptions, Grace: opts.agents.RenewalGrace, Clock: clock.RealClock{}}
		config.Authentication.Authenticator = union.New(group.NewAuthenticatedGroupAdder(authenticator), config.Authentication.Authenticator)
	}
	config.Authorization.Authorizer = &agentauth.Authorizer{Clusters: a.clusters, Requests: kubeClient, Next: config.Authorization.Authorizer}
	return a, nil
}

// watchSessions makes the chain of handlers in front of all servers end requests
// of agents that are not trusted any more.
func (a *agents) watchSessions(config *genericapiserver.Config) {
	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return build(a.sessions.Handler(handler, c.LongRunningFunc), c)
	}
}

// install runs what the decisions rest on, and has readiness wait for it.
func (a *agents) install(server *genericapiserver.GenericAPIServer) error {
	err := server.AddPostStartHook("fleet/agent-trust", func(hook genericapiserver.PostStartHookContext) error {
		go a.clusters.Run(hook)
		if controller, ok := a.authorities.(dynamiccertificates.ControllerRunner); ok {
			go controller.Run(hook, 1)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return server.AddReadyzChecks(a.clusters)
}
