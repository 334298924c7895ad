// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agentauth

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
)

// Authorizer decides finally about agents and passes everybody else on, with one
// addition: who has a bootstrap token may fetch what he asked for.
type Authorizer struct {
	Clusters *Clusters
	// Requests reads CertificateSigningRequests with the server's own rights.
	Requests kubernetes.Interface
	// Next decides about everybody else.
	Next authorizer.Authorizer
}

var _ authorizer.Authorizer = &Authorizer{}

// Authorize implements authorizer.Authorizer.
func (a *Authorizer) Authorize(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	u := attributes.GetUser()
	if agent, ok := AgentOf(u); ok {
		return a.authorizeAgent(ctx, agent, attributes)
	}
	if IsBootstrapper(u) && attributes.IsResourceRequest() {
		if _, ok := find(ownRequestRules, "", attributes); ok {
			if own, err := a.ownRequest(ctx, u, attributes.GetName()); err == nil && own {
				return authorizer.DecisionAllow, "request of one's own", nil
			}
		}
	}
	return a.Next.Authorize(ctx, attributes)
}

func (a *Authorizer) authorizeAgent(ctx context.Context, agent Agent, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	reason, err := a.Clusters.Refuse(agent.Identity)
	if err != nil || reason != "" {
		return authorizer.DecisionDeny, reason, err
	}
	if !attributes.IsResourceRequest() {
		if !agent.Expired && discoverable(attributes) {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionDeny, denied(agent), nil
	}
	rules := agentRules
	if agent.Expired {
		rules = renewalRules
	}
	found, ok := find(rules, agent.Cluster, attributes)
	if !ok {
		return authorizer.DecisionDeny, denied(agent), nil
	}
	if found.which == ownRequest {
		own, err := a.ownRequest(ctx, attributes.GetUser(), attributes.GetName())
		if err != nil || !own {
			return authorizer.DecisionDeny, "an agent may read certificate signing requests of its own only", err
		}
	}
	return authorizer.DecisionAllow, "", nil
}

func denied(agent Agent) string {
	if agent.Expired {
		return fmt.Sprintf("the certificate of the agent of cluster %q has expired, it may ask for another one and nothing else", agent.Cluster)
	}
	return fmt.Sprintf("the agent of cluster %q may only carry the works of its member and report on it", agent.Cluster)
}

// ownRequest returns whether a CertificateSigningRequest is there and was made
// by the user. It is read live: an agent looks right after creating it. This
// happens a few times a day for each member.
func (a *Authorizer) ownRequest(ctx context.Context, u user.Info, name string) (bool, error) {
	request, err := a.Requests.CertificatesV1().CertificateSigningRequests().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up who made certificate signing request %q: %w", name, err)
	}
	return request.Spec.Username == u.GetName() && request.Spec.UID == u.GetUID(), nil
}

// isGroupPath accepts /apis/<group> and /apis/<group>/<version>.
func isGroupPath(path string) bool {
	rest, ok := strings.CutPrefix(path, "/apis/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) > 2 {
		return false
	}
	for _, part := range parts {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}
