// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
)

// item is a work that waits to be looked at. The same work always has the same
// rank.
type item struct {
	name string
	rank rank
}

// rank orders works that wait: what others build on goes first. It is a courtesy
// to the member; what comes too early all the same is tried again.
type rank uint8

const (
	rankNamespace rank = iota
	rankDefinition
	rankDependency
	rankWorkload
	rankInterceptor
	ranks
)

// rankOf returns the rank of works of a kind.
func rankOf(kind schema.GroupKind) rank {
	if r, ok := kindRanks[kind]; ok {
		return r
	}
	return rankWorkload
}

// kindRanks has the kinds that do not rank as workloads. Interceptors go last:
// a webhook in place before what serves it keeps everything else out.
var kindRanks = map[schema.GroupKind]rank{
	{Kind: "Namespace"}: rankNamespace,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: rankDefinition,

	{Kind: "ConfigMap"}:                                              rankDependency,
	{Kind: "LimitRange"}:                                             rankDependency,
	{Kind: "PersistentVolume"}:                                       rankDependency,
	{Kind: "PersistentVolumeClaim"}:                                  rankDependency,
	{Kind: "ResourceQuota"}:                                          rankDependency,
	{Kind: "Secret"}:                                                 rankDependency,
	{Kind: "Service"}:                                                rankDependency,
	{Kind: "ServiceAccount"}:                                         rankDependency,
	{Group: "networking.k8s.io", Kind: "IngressClass"}:               rankDependency,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:              rankDependency,
	{Group: "node.k8s.io", Kind: "RuntimeClass"}:                     rankDependency,
	{Group: "policy", Kind: "PodDisruptionBudget"}:                   rankDependency,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:        rankDependency,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: rankDependency,
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:               rankDependency,
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        rankDependency,
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:              rankDependency,
	{Group: "storage.k8s.io", Kind: "StorageClass"}:                  rankDependency,

	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:   rankInterceptor,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}: rankInterceptor,
	{Group: "apiregistration.k8s.io", Kind: "APIService"}:                           rankInterceptor,
}

// ranked is a workqueue.Queue that hands out the lowest rank first, and within a
// rank what came first.
type ranked struct {
	queues [ranks]workqueue.Queue[item]
	length int
}

var _ workqueue.Queue[item] = &ranked{}

func newRanked() *ranked {
	r := &ranked{}
	for i := range r.queues {
		r.queues[i] = workqueue.DefaultQueue[item]()
	}
	return r
}

// Touch implements workqueue.Queue.
func (r *ranked) Touch(item) {}

// Push implements workqueue.Queue.
func (r *ranked) Push(i item) {
	r.queues[i.rank].Push(i)
	r.length++
}

// Len implements workqueue.Queue.
func (r *ranked) Len() int { return r.length }

// Pop implements workqueue.Queue.
func (r *ranked) Pop() item {
	for _, queue := range r.queues {
		if queue.Len() > 0 {
			r.length--
			return queue.Pop()
		}
	}
	return item{}
}
