// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apiserver/usage"
	"fleet.dev/fleet/pkg/projection"
)

// MetricsMembers implements usage.Members.
func (m *projectedMembers) MetricsMembers() ([]usage.Member, <-chan struct{}) {
	clusters, changed := m.Clusters()
	var found []usage.Member
	for _, cluster := range clusters {
		found = append(found, usage.Member{Name: cluster.Name, Unready: cluster.Unready, Serves: m.metricsOf(cluster.Name)})
	}
	return found, changed
}

// metricsOf returns which versions of metrics a member serves.
func (m *projectedMembers) metricsOf(name string) []schema.GroupVersion {
	object, ok, err := m.clusters.GetByKey(name)
	if err != nil || !ok {
		return nil
	}
	member, ok := object.(*clusterv1alpha1.Cluster)
	if !ok {
		return nil
	}
	var served []schema.GroupVersion
	for _, version := range usage.Versions() {
		if slices.ContainsFunc(member.Status.APIEnablements, func(a clusterv1alpha1.APIEnablement) bool { return a.GroupVersion == version.String() }) {
			served = append(served, version)
		}
	}
	return served
}

// sameMetrics says whether two versions of a Cluster, as trimMember left them, serve the
// same.
func sameMetrics(before, after any) bool {
	old, ok := before.(*clusterv1alpha1.Cluster)
	updated, isCluster := after.(*clusterv1alpha1.Cluster)
	return ok && isCluster && equality.Semantic.DeepEqual(old.Status.APIEnablements, updated.Status.APIEnablements)
}

// metricsAPIs are those of the APIs of a member that are about metrics.
func metricsAPIs(of []clusterv1alpha1.APIEnablement) []clusterv1alpha1.APIEnablement {
	var kept []clusterv1alpha1.APIEnablement
	for _, version := range usage.Versions() {
		for i := range of {
			if of[i].GroupVersion == version.String() {
				kept = append(kept, clusterv1alpha1.APIEnablement{GroupVersion: version.String()})
			}
		}
	}
	return kept
}

// MetricsWay implements usage.Members.
func (m *projectedMembers) MetricsWay(ctx context.Context, member string) (usage.Way, error) {
	way, err := m.Way(ctx, member, false)
	return usage.Way{URL: way.URL, Transport: way.Transport}, err
}

// shownPods are the Pods that the fleet shows. They implement usage.Pods.
type shownPods struct{ *projection.Projections }

var _ usage.Pods = shownPods{}

// Need implements usage.Pods.
func (p shownPods) Need(ctx context.Context) { p.NeedPods(ctx) }

// Shown implements usage.Pods.
func (p shownPods) Shown(member string, pod types.NamespacedName, bare bool) (metav1.Object, bool) {
	return p.ShownPod(member, pod, bare)
}

// Find implements usage.Pods.
func (p shownPods) Find(namespace, name string) (member, inMember string, ok bool) {
	return p.FindPod(namespace, name)
}
