// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"
)

// service lists the load balancer addresses of all members, sorted. Conditions
// are about one member's load balancer and stay in the binding.
func service(in input[corev1.Service, corev1.ServiceStatus]) corev1.ServiceStatus {
	status := corev1.ServiceStatus{Conditions: in.template.Status.Conditions}
	// Upstream forbids addresses on other types; a member may not have seen yet
	// that the type changed.
	if in.template.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return status
	}
	for _, member := range in.members {
		for _, address := range member.status.LoadBalancer.Ingress {
			if address.IP != "" && address.IPMode == nil {
				address.IPMode = ptr.To(corev1.LoadBalancerIPModeVIP) // upstream's default, set by newer servers only
			}
			status.LoadBalancer.Ingress = append(status.LoadBalancer.Ingress, address)
		}
	}
	status.LoadBalancer.Ingress = distinct(status.LoadBalancer.Ingress, func(a, b corev1.LoadBalancerIngress) int {
		return cmp.Or(cmp.Compare(a.IP, b.IP), cmp.Compare(a.Hostname, b.Hostname))
	})
	return status
}

// ingress lists the load balancer addresses of all members, sorted.
func ingress(in input[networkingv1.Ingress, networkingv1.IngressStatus]) networkingv1.IngressStatus {
	status := networkingv1.IngressStatus{}
	for _, member := range in.members {
		status.LoadBalancer.Ingress = append(status.LoadBalancer.Ingress, member.status.LoadBalancer.Ingress...)
	}
	status.LoadBalancer.Ingress = distinct(status.LoadBalancer.Ingress, func(a, b networkingv1.IngressLoadBalancerIngress) int {
		return cmp.Or(cmp.Compare(a.IP, b.IP), cmp.Compare(a.Hostname, b.Hostname))
	})
	return status
}

// distinct sorts addresses and drops those that several members share.
func distinct[E any](addresses []E, compare func(a, b E) int) []E {
	slices.SortStableFunc(addresses, compare)
	return slices.CompactFunc(addresses, func(a, b E) bool { return compare(a, b) == 0 })
}
