// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agentauth

import (
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Agent is a user who acts for a member in Pull mode.
type Agent struct {
	identity.Identity
	// Expired says that the certificate has run out: all that is left is to ask
	// for another.
	Expired bool
}

// AgentOf returns the agent behind a user. It errs on the side of calling a user
// an agent, since agents have fewer rights: one of the groups or the prefix of
// the name is enough. Parts of the identity that the user lacks are empty.
func AgentOf(u user.Info) (Agent, bool) {
	if u == nil {
		return Agent{}, false
	}
	current := slices.Contains(u.GetGroups(), wellknown.GroupClusters)
	expired := slices.Contains(u.GetGroups(), wellknown.GroupExpiredClusters)
	name, named := strings.CutPrefix(u.GetName(), wellknown.UserClusterPrefix)
	if !current && !expired && !named {
		return Agent{}, false
	}
	agent := Agent{Expired: expired || !current}
	if named {
		agent.Cluster, agent.ID = name, u.GetUID()
		if registration := u.GetExtra()[wellknown.ExtraRegistration]; len(registration) == 1 {
			agent.Registration = registration[0]
		}
	}
	return agent, true
}

// IsBootstrapper returns whether a user holds a bootstrap token for agents.
func IsBootstrapper(u user.Info) bool {
	return u != nil && slices.Contains(u.GetGroups(), wellknown.GroupAgentBootstrappers)
}
