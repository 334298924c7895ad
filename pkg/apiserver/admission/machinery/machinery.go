// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package machinery

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/work"
)

// Spare wraps the plugins that call webhooks; it is an admission.DecoratorFunc.
func Spare(plugin admission.Interface, name string) admission.Interface {
	if name != mutatingwebhook.PluginName && name != validatingwebhook.PluginName {
		return plugin
	}
	return &sparing{plugin}
}

// sparing does not ask its plugin about the fleet's machinery.
type sparing struct{ admission.Interface }

var (
	_ admission.MutationInterface   = &sparing{}
	_ admission.ValidationInterface = &sparing{}
)

// Admit implements admission.MutationInterface.
func (s *sparing) Admit(ctx context.Context, attributes admission.Attributes, objects admission.ObjectInterfaces) error {
	if plugin, ok := s.Interface.(admission.MutationInterface); ok && !Is(attributes) {
		return plugin.Admit(ctx, attributes, objects)
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (s *sparing) Validate(ctx context.Context, attributes admission.Attributes, objects admission.ObjectInterfaces) error {
	if plugin, ok := s.Interface.(admission.ValidationInterface); ok && !Is(attributes) {
		return plugin.Validate(ctx, attributes, objects)
	}
	return nil
}

// subresources of Clusters that are the fleet's own: what a member says about itself,
// the tunnel by which it is reached, and requests to it, which its own webhooks see.
var subresources = sets.New("status", "tunnel", "proxy")

// Is reports whether a request is about the fleet's machinery: bindings, works and
// feedback, how members are reached, and what is in the namespaces of members: their
// leases, and credentials that no other member may get to see.
func Is(attributes admission.Attributes) bool {
	if strings.HasPrefix(attributes.GetNamespace(), clusterv1alpha1.MemberNamespacePrefix) {
		return true
	}
	switch attributes.GetResource().Group {
	case work.GroupName:
		return true
	case cluster.GroupName:
		return subresources.Has(attributes.GetSubresource())
	default:
		return false
	}
}
