// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	apiservercel "k8s.io/apiserver/pkg/cel"

	"fleet.dev/fleet/pkg/apis/cluster/place"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// clusterVariable is the name of the member in expressions.
const clusterVariable = "cluster"

// noLimit lets lists and maps be as long as they are.
const noLimit = -1

func object(name string, fields map[string]*apiservercel.DeclType) *apiservercel.DeclType {
	declared := map[string]*apiservercel.DeclField{}
	for field, kind := range fields {
		declared[field] = apiservercel.NewDeclField(field, kind, true, nil, nil)
	}
	return apiservercel.NewObjectType(name, declared)
}

var (
	text      = apiservercel.StringType
	texts     = apiservercel.NewListType(text, noLimit)
	textByKey = apiservercel.NewMapType(text, text, noLimit)
)

// selectedType is cluster in an affinity.
var selectedType = object("fleet.Cluster", map[string]*apiservercel.DeclType{
	"metadata": object("fleet.ClusterMetadata", map[string]*apiservercel.DeclType{"name": text, "labels": textByKey, "annotations": textByKey}),
	"spec": object("fleet.ClusterSpec", map[string]*apiservercel.DeclType{
		"syncMode": text, "provider": text, "region": text, "zones": texts,
		"taints": apiservercel.NewListType(object("fleet.Taint", map[string]*apiservercel.DeclType{"key": text, "value": text, "effect": text}), noLimit),
	}),
	"status": object("fleet.ClusterStatus", map[string]*apiservercel.DeclType{"kubernetesVersion": text}),
})

// factsType is cluster in an override.
var factsType = object("fleet.ClusterFacts", map[string]*apiservercel.DeclType{
	"metadata": object("fleet.FactsMetadata", map[string]*apiservercel.DeclType{"name": text, "labels": textByKey}),
	"spec":     object("fleet.FactsSpec", map[string]*apiservercel.DeclType{"provider": text, "region": text, "zones": texts}),
	"status":   object("fleet.FactsStatus", map[string]*apiservercel.DeclType{"kubernetesVersion": text}),
})

// selected is the value of selectedType.
func selected(cluster *clusterv1alpha1.Cluster) map[string]any {
	at := place.Of(cluster)
	taints := make([]any, 0, len(cluster.Spec.Taints))
	for _, taint := range cluster.Spec.Taints {
		taints = append(taints, map[string]any{"key": taint.Key, "value": taint.Value, "effect": string(taint.Effect)})
	}
	return map[string]any{
		"metadata": map[string]any{"name": cluster.Name, "labels": present(cluster.Labels), "annotations": present(cluster.Annotations)},
		"spec": map[string]any{
			"syncMode": string(cluster.Spec.SyncMode), "provider": at.Provider, "region": at.Region, "zones": list(at.Zones), "taints": taints,
		},
		"status": map[string]any{"kubernetesVersion": cluster.Status.KubernetesVersion},
	}
}

// FactsOf returns what overrides may ask about a member. It shares labels and
// zones with the Cluster.
func FactsOf(cluster *clusterv1alpha1.Cluster) workv1alpha1.ClusterFacts {
	at := place.Of(cluster)
	return workv1alpha1.ClusterFacts{
		Name: cluster.Name, Labels: cluster.Labels, Provider: at.Provider, Region: at.Region, Zones: at.Zones,
		KubernetesVersion: cluster.Status.KubernetesVersion,
	}
}

// known is the value of factsType.
func known(facts *workv1alpha1.ClusterFacts) map[string]any {
	return map[string]any{
		"metadata": map[string]any{"name": facts.Name, "labels": present(facts.Labels)},
		"spec":     map[string]any{"provider": facts.Provider, "region": facts.Region, "zones": list(facts.Zones)},
		"status":   map[string]any{"kubernetesVersion": facts.KubernetesVersion},
	}
}

// present is a map that is there.
func present(from map[string]string) map[string]string {
	if from == nil {
		return map[string]string{}
	}
	return from
}

// list is a list that is there.
func list(from []string) []string {
	if from == nil {
		return []string{}
	}
	return from
}
