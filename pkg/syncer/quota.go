// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// maxQuotas is the most quotas that are reported of a member.
const maxQuotas = 1000

// quota is a ResourceQuota of a member, as far as Pods go.
type quota struct {
	metav1.ObjectMeta
	scopes    []corev1.ResourceQuotaScope
	selector  *corev1.ScopeSelector
	remaining amounts
}

// cutQuota cuts a ResourceQuota down.
func cutQuota(object any) (*quota, error) {
	switch object := object.(type) {
	case *quota:
		return object, nil
	case *corev1.ResourceQuota:
		return &quota{
			ObjectMeta: metav1.ObjectMeta{Name: object.Name, Namespace: object.Namespace, UID: object.UID, ResourceVersion: object.ResourceVersion},
			scopes:     object.Spec.Scopes,
			selector:   object.Spec.ScopeSelector,
			remaining:  remaining(object),
		}, nil
	default:
		return nil, fmt.Errorf("read ResourceQuota: unexpected type %T", object)
	}
}

// remaining is what a quota leaves to Pods, hard less used. The quota's own status
// lags behind a changed spec for a moment; the spec is what counts.
func remaining(of *corev1.ResourceQuota) amounts {
	left := amounts{}
	hard, used := amountsOf(of.Spec.Hard), amountsOf(of.Status.Used)
	for name, amount := range hard {
		if countsPods(name) {
			left[name] = max(amount-used[name], 0)
		}
	}
	return left
}

// countsPods reports whether a resource of quotas is taken by Pods.
func countsPods(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourcePods, "count/pods", corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return true
	case corev1.ResourceRequestsStorage:
		return false
	default:
		kind := string(name)
		return strings.HasPrefix(kind, corev1.DefaultResourceRequestsPrefix) || strings.HasPrefix(kind, "limits.") ||
			strings.HasPrefix(kind, corev1.ResourceHugePagesPrefix)
	}
}

// same returns true when the quotas leave the same to the same Pods.
func (q *quota) same(other *quota) bool {
	return other != nil && maps.Equal(q.remaining, other.remaining) && slices.Equal(q.scopes, other.scopes) &&
		equality.Semantic.DeepEqual(q.selector, other.selector)
}

// exportQuotas returns quotas as they are reported. Those that no Pod counts for
// are left out.
func exportQuotas(quotas []*quota) []clusterv1alpha1.NamespaceQuota {
	var exported []clusterv1alpha1.NamespaceQuota
	for _, q := range quotas {
		if len(q.remaining) == 0 {
			continue
		}
		exported = append(exported, clusterv1alpha1.NamespaceQuota{
			Namespace: q.Namespace, Name: q.Name, Scopes: q.scopes, ScopeSelector: q.selector, Remaining: q.remaining.list(),
		})
	}
	slices.SortFunc(exported, func(a, b clusterv1alpha1.NamespaceQuota) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return exported[:min(len(exported), maxQuotas)]
}
