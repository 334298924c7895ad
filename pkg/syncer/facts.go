// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/listwatch"
	"fleet.dev/fleet/pkg/member"
)

// livePods selects the Pods that take room on a node, or will.
const livePods = "status.phase!=" + string(corev1.PodSucceeded) + ",status.phase!=" + string(corev1.PodFailed)

// facts mirrors the nodes, Pods and ResourceQuotas of a member to know its
// capacity.
type facts struct {
	member member.Connection
	nodes  *mirror[*node]
	pods   *mirror[*pod]
	quotas *mirror[*quota]
	// podChanged is told of every change of a Pod, nil standing for none. Nil is
	// allowed; it is set before run.
	podChanged func(old, now *pod)
}

// newFacts calls changed when the capacity may have changed.
func newFacts(connection member.Connection, changed func()) *facts {
	f := &facts{
		member: connection,
		nodes: newMirror(cutNode, func(old, now *node, _ string) {
			if now == nil || !now.same(old) {
				changed()
			}
		}, changed),
		quotas: newMirror(cutQuota, func(old, now *quota, _ string) {
			if now == nil || !now.same(old) {
				changed()
			}
		}, changed),
	}
	f.pods = newMirror(cutPod, func(old, now *pod, _ string) {
		if now == nil || !now.same(old) {
			changed()
		}
		if f.podChanged != nil {
			f.podChanged(old, now)
		}
	}, changed)
	return f
}

// run mirrors until ctx ends.
func (f *facts) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	nodes, pods := f.member.Core().Nodes(), f.member.Core().Pods(metav1.NamespaceAll)
	wg.Go(func() {
		f.member.Follow(ctx, "nodes", cache.ToListWatcherWithWatchListSemantics(listwatch.All(nodes), nodes), f.nodes)
	})
	wg.Go(func() {
		f.member.Follow(ctx, "pods", cache.ToListWatcherWithWatchListSemantics(listwatch.Some(pods, metav1.ListOptions{FieldSelector: livePods}), pods), f.pods)
	})
	wg.Go(func() { f.followQuotas(ctx) })
}

func (f *facts) followQuotas(ctx context.Context) {
	quotas := f.member.Core().ResourceQuotas(metav1.NamespaceAll)
	f.member.Follow(ctx, "resourcequotas", cache.ToListWatcherWithWatchListSemantics(listwatch.All(quotas), quotas), f.quotas)
}

// summary returns the capacity, false before it is known. Quotas are part of it
// once they are known, which they never are where the syncer may not read them.
func (f *facts) summary(models []clusterv1alpha1.ResourceModel) (summary, bool) {
	if !f.nodes.hasSynced() || !f.pods.hasSynced() {
		return summary{}, false
	}
	var nodes []*node
	f.nodes.each(func(_ string, n *node) { nodes = append(nodes, n) })
	var pods []*pod
	f.pods.each(func(_ string, p *pod) { pods = append(pods, p) })
	sum := summarize(nodes, pods, models)
	var quotas []*quota
	f.quotas.each(func(_ string, q *quota) { quotas = append(quotas, q) })
	sum.capacity.Quotas = exportQuotas(quotas)
	return sum, true
}
