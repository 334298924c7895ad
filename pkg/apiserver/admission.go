// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/kubernetes/pkg/kubeapiserver/options"
	"k8s.io/kubernetes/plugin/pkg/admission/nodedeclaredfeatures"
	"k8s.io/kubernetes/plugin/pkg/admission/nodetaint"
	"k8s.io/kubernetes/plugin/pkg/admission/podresize"
	"k8s.io/kubernetes/plugin/pkg/admission/podtopologylabels"
	"k8s.io/kubernetes/plugin/pkg/admission/runtimeclass"
	"k8s.io/kubernetes/plugin/pkg/admission/scheduling/podgroupprotection"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/persistentvolume/resize"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/storageclass/setdefault"
	"k8s.io/kubernetes/plugin/pkg/admission/storage/storageobjectinuseprotection"

	"fleet.dev/fleet/pkg/apiserver/admission/clusteracceptance"
	"fleet.dev/fleet/pkg/apiserver/admission/clusterid"
	"fleet.dev/fleet/pkg/apiserver/admission/clusterrestriction"
	"fleet.dev/fleet/pkg/apiserver/admission/deletionprotection"
	"fleet.dev/fleet/pkg/apiserver/admission/foreground"
	"fleet.dev/fleet/pkg/apiserver/admission/machinery"
	"fleet.dev/fleet/pkg/apiserver/admission/orphanintent"
	"fleet.dev/fleet/pkg/apiserver/admission/placementpreview"
	podserviceaccount "fleet.dev/fleet/pkg/apiserver/admission/serviceaccount"
	"fleet.dev/fleet/pkg/apiserver/agentauth"
)

// registerAdmissionPlugins adds the fleet's plugins to upstream's, on by default.
func registerAdmissionPlugins(options *genericoptions.AdmissionOptions, clusters *agentauth.Clusters, placements *placementpreview.Fleet) {
	clusterrestriction.Register(options.Plugins)
	clusteracceptance.Register(options.Plugins)
	clusterid.Register(options.Plugins, clusters)
	deletionprotection.Register(options.Plugins)
	orphanintent.Register(options.Plugins)
	foreground.Register(options.Plugins)
	placementpreview.Register(options.Plugins, placements)
	podserviceaccount.Register(options.Plugins)
	own := []string{
		clusterrestriction.PluginName, clusteracceptance.PluginName, clusterid.PluginName, deletionprotection.PluginName, podserviceaccount.PluginName,
	}
	// After all that may refuse: what is recorded is to happen.
	last := []string{foreground.PluginName, orphanintent.PluginName, placementpreview.PluginName}
	options.RecommendedPluginOrder = slices.Concat(own, options.RecommendedPluginOrder, last)
	options.Decorators = append(options.Decorators, admission.DecoratorFunc(machinery.Spare))
}

// DefaultOffAdmissionPlugins are the plugins that do not run unless asked for:
// upstream's, and those that presume that Pods run, nodes register or volumes
// are provisioned in the cluster they admit for. The member's own admission does
// that part, with the member's nodes and classes at hand.
func DefaultOffAdmissionPlugins() sets.Set[string] {
	return options.DefaultOffAdmissionPlugins().Insert(
		// Would refuse Pods whose ServiceAccount only members have; see PodServiceAccount.
		serviceaccount.PluginName,
		// Nodes are the members'; their taints come from there.
		nodetaint.PluginName,
		podtopologylabels.PluginName,
		nodedeclaredfeatures.PluginName,
		// A resize is measured against the member's node, which is not here.
		podresize.PluginName,
		// Overhead and node selector come from the member's RuntimeClass.
		runtimeclass.PluginName,
		// Classes, provisioning and protection finalizers are the member's.
		setdefault.PluginName,
		resize.PluginName,
		storageobjectinuseprotection.PluginName,
		// Its finalizer is taken off by a controller that runs in members.
		podgroupprotection.PluginName,
	)
}
