// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusterrestriction

import (
	"context"
	"errors"
	"fmt"
	"io"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/kubernetes/pkg/apis/certificates"
	"k8s.io/kubernetes/pkg/apis/coordination"

	"fleet.dev/fleet/pkg/apis/cluster"
	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apiserver/agentauth"
)

// PluginName is the name of the plugin in flags.
const PluginName = "ClusterRestriction"

// Register adds the plugin to those that can be enabled.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin restricts agents and bootstrap tokens.
type Plugin struct{ *admission.Handler }

var _ admission.ValidationInterface = &Plugin{}

// New returns the plugin.
func New() *Plugin {
	return &Plugin{admission.NewHandler(admission.Create, admission.Update)}
}

var (
	leases   = coordination.Resource("leases")
	requests = certificates.Resource("certificatesigningrequests")
	clusters = cluster.Resource("clusters")
)

// Validate implements admission.ValidationInterface.
func (p *Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	agent, isAgent := agentauth.AgentOf(a.GetUserInfo())
	var err error
	switch resource := a.GetResource().GroupResource(); {
	case isAgent && resource == leases:
		err = checkLease(a, agent)
	case isAgent && resource == clusters && a.GetSubresource() == "status":
		err = checkStatus(a)
	case resource == requests && a.GetOperation() == admission.Create && isAgent:
		err = checkRequest(a, func(request identity.Request) error { return checkRenewal(request, agent) })
	case resource == requests && a.GetOperation() == admission.Create && agentauth.IsBootstrapper(a.GetUserInfo()):
		err = checkRequest(a, checkRegistration)
	}
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}

func checkLease(a admission.Attributes, agent agentauth.Agent) error {
	lease, ok := a.GetObject().(*coordination.Lease)
	if !ok {
		return fmt.Errorf("unexpected type %T", a.GetObject())
	}
	if lease.Name != agent.Cluster || a.GetNamespace() != clusterv1alpha1.MemberNamespace(agent.Cluster) {
		return fmt.Errorf("the agent of cluster %q may only write the lease of that name", agent.Cluster)
	}
	before, ok := a.GetOldObject().(*coordination.Lease)
	if !ok {
		before = &coordination.Lease{}
	}
	return checkMetadata(lease, before)
}

// checkMetadata keeps agents from holding back or causing the removal of objects.
func checkMetadata(object, before metav1.Object) error {
	if !equality.Semantic.DeepEqual(object.GetFinalizers(), before.GetFinalizers()) {
		return errors.New("metadata.finalizers: an agent may not change them")
	}
	if !equality.Semantic.DeepEqual(object.GetOwnerReferences(), before.GetOwnerReferences()) {
		return errors.New("metadata.ownerReferences: an agent may not change them")
	}
	return nil
}

// checkStatus leaves the conditions of controllers to them.
func checkStatus(a admission.Attributes) error {
	given, ok := a.GetObject().(*cluster.Cluster)
	before, was := a.GetOldObject().(*cluster.Cluster)
	if !ok || !was {
		return fmt.Errorf("unexpected type %T", a.GetObject())
	}
	for _, kind := range []string{cluster.ClusterConditionAccepted, cluster.ClusterConditionUnjoining} {
		now, then := meta.FindStatusCondition(given.Status.Conditions, kind), meta.FindStatusCondition(before.Status.Conditions, kind)
		if !equality.Semantic.DeepEqual(now, then) {
			return fmt.Errorf("status.conditions: an agent may not change %s", kind)
		}
	}
	return nil
}

func checkRequest(a admission.Attributes, check func(identity.Request) error) error {
	object, ok := a.GetObject().(*certificates.CertificateSigningRequest)
	if !ok {
		return fmt.Errorf("unexpected type %T", a.GetObject())
	}
	spec := &certificatesv1.CertificateSigningRequestSpec{
		Request: object.Spec.Request, SignerName: object.Spec.SignerName, ExpirationSeconds: object.Spec.ExpirationSeconds,
	}
	for _, usage := range object.Spec.Usages {
		spec.Usages = append(spec.Usages, certificatesv1.KeyUsage(usage))
	}
	request, err := identity.ParseRequest(spec)
	if err != nil {
		return fmt.Errorf("only client certificates of members may be requested: %w", err)
	}
	return errors.Join(checkMetadata(object, &certificates.CertificateSigningRequest{}), check(request))
}

func checkRenewal(request identity.Request, agent agentauth.Agent) error {
	if request.Identity != agent.Identity {
		return fmt.Errorf("the agent of cluster %q may only ask for the identity it has", agent.Cluster)
	}
	return nil
}

func checkRegistration(request identity.Request) error {
	if request.Registration != request.Key {
		return fmt.Errorf("the registration has to be the fingerprint of the requested key, %s", request.Key)
	}
	return nil
}
