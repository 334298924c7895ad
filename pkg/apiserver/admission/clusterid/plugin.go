// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusterid

import (
	"context"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	"fleet.dev/fleet/pkg/apis/cluster"
)

// PluginName is the name of the plugin in flags.
const PluginName = "ClusterID"

// Clusters finds Clusters by their id.
type Clusters interface {
	HasSynced() bool
	NamesWithID(id string) ([]string, error)
}

// Register adds the plugin to those that can be enabled.
func Register(plugins *admission.Plugins, clusters Clusters) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(clusters), nil })
}

// Plugin refuses ids that are taken.
type Plugin struct {
	*admission.Handler
	clusters Clusters
}

var _ admission.ValidationInterface = &Plugin{}

// New returns the plugin.
func New(clusters Clusters) *Plugin {
	p := &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update), clusters: clusters}
	p.SetReadyFunc(clusters.HasSynced)
	return p
}

// Validate implements admission.ValidationInterface.
func (p *Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != cluster.Resource("clusters") || a.GetSubresource() != "" {
		return nil
	}
	given, ok := a.GetObject().(*cluster.Cluster)
	if !ok || given.Spec.ID == "" {
		return nil
	}
	if before, ok := a.GetOldObject().(*cluster.Cluster); ok && before.Spec.ID == given.Spec.ID {
		return nil
	}
	if !p.WaitForReady() {
		return admission.NewForbidden(a, fmt.Errorf("the clusters of the fleet are not loaded yet, try again"))
	}
	names, err := p.clusters.NamesWithID(given.Spec.ID)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	for _, name := range names {
		if name != given.Name {
			return apierrors.NewInvalid(cluster.Kind("Cluster"), given.Name, field.ErrorList{field.Invalid(field.NewPath("spec", "id"), given.Spec.ID,
				fmt.Sprintf("the same cluster is in the fleet as %q already; unjoin that first, or go on using it", name))})
		}
	}
	return nil
}
