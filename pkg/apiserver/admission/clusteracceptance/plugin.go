// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusteracceptance

import (
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// PluginName is the name of the plugin in flags.
const PluginName = "ClusterAcceptance"

// Register adds the plugin to those that can be enabled.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin asks the authorizer before trust is given.
type Plugin struct {
	*admission.Handler
	authorizer authorizer.Authorizer
}

var (
	_ admission.ValidationInterface     = &Plugin{}
	_ admission.InitializationValidator = &Plugin{}
	_ initializer.WantsAuthorizer       = &Plugin{}
)

// New returns the plugin without an authorizer.
func New() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}
}

// SetAuthorizer implements initializer.WantsAuthorizer.
func (p *Plugin) SetAuthorizer(a authorizer.Authorizer) { p.authorizer = a }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.authorizer == nil {
		return errors.New("an authorizer is missing")
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != cluster.Resource("clusters") || a.GetSubresource() != "" {
		return nil
	}
	given, ok := a.GetObject().(*cluster.Cluster)
	if !ok {
		return nil
	}
	before, _ := a.GetOldObject().(*cluster.Cluster)
	what := trusts(given, before)
	if what == "" {
		return nil
	}
	decision, reason, err := p.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: wellknown.VerbAccept, ResourceRequest: true,
		APIGroup: clusterv1alpha1.GroupName, APIVersion: clusterv1alpha1.SchemeGroupVersion.Version, Resource: "clusters", Name: given.Name,
	})
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("authorize to accept cluster %q: %w", given.Name, err))
	}
	if decision == authorizer.DecisionAllow {
		return nil
	}
	message := fmt.Sprintf("%s takes the verb %q on this cluster", what, wellknown.VerbAccept)
	if reason != "" {
		message += ": " + reason
	}
	return admission.NewForbidden(a, errors.New(message))
}

// trusts says what in a Cluster gives trust that it did not give before; before
// is nil for a new one.
func trusts(given, before *cluster.Cluster) string {
	if before == nil {
		before = &cluster.Cluster{}
	}
	key := wellknown.AnnotationRegistrationKey
	switch {
	case given.Annotations[key] != before.Annotations[key]:
		return "setting annotation " + key
	case !given.Spec.Accepted || given.Spec.SyncMode != cluster.Pull:
		return ""
	case !before.Spec.Accepted || before.Spec.SyncMode != cluster.Pull:
		return "accepting"
	case given.Spec.ID != before.Spec.ID:
		return "accepting another id"
	}
	return ""
}
