// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// rule says what of a template is not carried to members, and why. A path is
// dropped wholly; edit is for what a path cannot say.
type rule struct {
	kinds       []schema.GroupKind // empty: every kind
	why         string
	drop        []string // dot-separated paths
	annotations []string // keys dropped from metadata.annotations
	edit        func(object map[string]any, owned *fieldpath.Set)
}

// rules is the one table of what stays in the fleet. Everything else of a
// template is carried as its author wrote it, webhook caBundles, PV sources and
// defaults of this API server included.
var rules = []rule{
	{
		why: "identity and bookkeeping of the fleet's own object",
		drop: []string{
			"metadata.uid", "metadata.resourceVersion", "metadata.generation", "metadata.generateName",
			"metadata.creationTimestamp", "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds",
			"metadata.managedFields", "metadata.selfLink",
		},
	},
	{
		why:  "finalizers are about the template, the syncer deletes in members, and on a tombstone only; owners are named by stamp",
		drop: []string{"metadata.ownerReferences", "metadata.finalizers"},
	},
	{
		why:         "what kubectl remembers is about the fleet's object",
		annotations: []string{"kubectl.kubernetes.io/last-applied-configuration"},
	},
	{
		why:         "hints to this fleet's scheduler would be read again by a member that is itself a fleet",
		annotations: []string{wellknown.AnnotationPlacement, wellknown.AnnotationClusters},
	},
	{
		why:  "observed state; every member reports its own",
		drop: []string{"status"},
	},
	{
		kinds: []schema.GroupKind{{Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "ReplicaSet"}},
		why:   "written by the deployment controller of each cluster",
		annotations: []string{
			"deployment.kubernetes.io/revision", "deployment.kubernetes.io/revision-history",
			"deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas",
		},
	},
	{
		kinds:       []schema.GroupKind{{Group: "apps", Kind: "DaemonSet"}},
		why:         "defaulted by the API server of each cluster",
		annotations: []string{"deprecated.daemonset.template.generation"},
	},
	{
		kinds: []schema.GroupKind{{Group: "apps", Kind: "StatefulSet"}},
		why:   "claim templates are stored with an empty status and creation time",
		edit:  stripClaimTemplates,
	},
	{
		kinds: []schema.GroupKind{{Group: "batch", Kind: "Job"}},
		why:   "the selector and its labels hold the uid of the fleet's Job, each member generates its own; when it is deleted the fleet says",
		edit:  stripJob,
	},
	{
		kinds: []schema.GroupKind{{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}},
		why:   "status that autoscaling/v1 keeps in annotations",
		annotations: []string{
			"autoscaling.alpha.kubernetes.io/conditions", "autoscaling.alpha.kubernetes.io/current-metrics",
		},
	},
	{
		kinds: []schema.GroupKind{{Kind: "Service"}},
		why:   "addresses and node ports are allocated per cluster",
		edit:  stripService,
	},
	{
		kinds: []schema.GroupKind{{Kind: "Namespace"}},
		why:   "its spec is only finalizers, which the namespace lifecycle of each cluster owns",
		drop:  []string{"spec"},
	},
	{
		kinds:       []schema.GroupKind{{Kind: "PersistentVolumeClaim"}},
		why:         "binding a volume is up to each cluster, unless the user named the volume",
		annotations: []string{"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller", "volume.kubernetes.io/selected-node"},
		edit:        stripClaim,
	},
	{
		kinds:       []schema.GroupKind{{Kind: "PersistentVolume"}},
		why:         "the claim of the same name has another uid in each cluster",
		drop:        []string{"spec.claimRef.uid", "spec.claimRef.resourceVersion"},
		annotations: []string{"pv.kubernetes.io/bound-by-controller"},
	},
	{
		kinds: []schema.GroupKind{{Kind: "ServiceAccount"}},
		why:   "token Secrets are made by the token controller of each cluster",
		drop:  []string{"secrets"},
	},
	{
		kinds: []schema.GroupKind{{Kind: "Secret"}},
		why:   "a service-account token is valid only where it was issued",
		edit:  stripTokenSecret,
	},
	{
		kinds: []schema.GroupKind{{Kind: "Pod"}},
		why:   "set by the scheduler and by admission of each cluster, which refuse foreign values; a node that the user chose is put back by nameNodes",
		drop:  []string{"spec.nodeName", "spec.priority", "spec.preemptionPolicy", "spec.ephemeralContainers"},
		edit:  stripPod,
	},
	{
		kinds: []schema.GroupKind{{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}},
		why:   "rules of an aggregated role are computed by each cluster from its own roles",
		edit:  stripAggregatedRules,
	},
}

// rulesByKind indexes rules; the rules for every kind are under the zero key.
var rulesByKind = func() map[schema.GroupKind][]rule {
	index := map[schema.GroupKind][]rule{}
	for _, r := range rules {
		kinds := r.kinds
		if len(kinds) == 0 {
			kinds = []schema.GroupKind{{}}
		}
		for _, kind := range kinds {
			index[kind] = append(index[kind], r)
		}
	}
	return index
}()

// strip removes from the object, in place, what the rules for its kind name.
func strip(object map[string]any, kind schema.GroupKind) {
	var owned *fieldpath.Set
	kindRules := rulesByKind[kind]
	for i := range kindRules {
		if kindRules[i].edit != nil && owned == nil {
			owned = ownedFields(object)
		}
	}
	for _, group := range [][]rule{kindRules, rulesByKind[schema.GroupKind{}]} {
		for i := range group {
			group[i].apply(object, owned)
		}
	}
	dropEmptyMaps(object, "metadata.annotations", "metadata.labels")
}

func (r *rule) apply(object map[string]any, owned *fieldpath.Set) {
	for _, path := range r.drop {
		dropPath(object, path)
	}
	annotations := mapAt(object, "metadata", "annotations")
	for _, key := range r.annotations {
		delete(annotations, key)
	}
	if r.edit != nil {
		r.edit(object, owned)
	}
}

// dropPath removes a field named by a dot-separated path; a missing or
// differently shaped parent is no error.
func dropPath(object map[string]any, path string) {
	fields := strings.Split(path, ".")
	last := len(fields) - 1
	if parent := mapAt(object, fields[:last]...); parent != nil {
		delete(parent, fields[last])
	}
}

// dropEmptyMaps removes maps that are empty, usually because stripping emptied
// them, so that the syncer does not own an empty field.
func dropEmptyMaps(object map[string]any, paths ...string) {
	for _, path := range paths {
		if m := mapAt(object, strings.Split(path, ".")...); m != nil && len(m) == 0 {
			dropPath(object, path)
		}
	}
}

// mapAt walks nested maps and returns nil when there is no map at the path. A
// nil map may be read and deleted from.
func mapAt(object map[string]any, path ...string) map[string]any {
	current := object
	for _, field := range path {
		next, ok := current[field].(map[string]any)
		if !ok {
			return nil
		}
		current = next
	}
	return current
}

// mapsAt returns the maps in the list at the path.
func mapsAt(object map[string]any, path ...string) []map[string]any {
	last := len(path) - 1
	list, _ := mapAt(object, path[:last]...)[path[last]].([]any)
	maps := make([]map[string]any, 0, len(list))
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			maps = append(maps, m)
		}
	}
	return maps
}
