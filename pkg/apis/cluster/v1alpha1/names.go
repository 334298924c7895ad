// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strings"

// MemberNamespacePrefix begins the name of every member's namespace.
const MemberNamespacePrefix = "fleet-cluster-"

// MaxClusterNameLength is the longest Cluster name in characters: its member
// namespace has to be a DNS-1123 label.
const MaxClusterNameLength = 63 - len(MemberNamespacePrefix)

// MemberNamespace returns the namespace that holds what belongs to the member:
// its lease, its Secrets and its works.
func MemberNamespace(cluster string) string {
	return MemberNamespacePrefix + cluster
}

// ClusterOfNamespace is the reverse of MemberNamespace. It returns false when
// the namespace is no member's.
func ClusterOfNamespace(namespace string) (string, bool) {
	cluster, ok := strings.CutPrefix(namespace, MemberNamespacePrefix)
	if !ok || cluster == "" {
		return "", false
	}
	return cluster, true
}
