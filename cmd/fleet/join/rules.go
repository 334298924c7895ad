// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package join

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// SyncerRules is what a syncer may do in a member unless an administrator narrows
// it: read and write objects of every kind, because users store any kind in the
// fleet, and give others rights it does not hold itself, because they store roles
// too. It does not include impersonation, approving certificates, or any other
// verb with a meaning of its own.
func SyncerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "clusterroles"}, Verbs: []string{"escalate", "bind"}},
		{NonResourceURLs: []string{"*"}, Verbs: []string{"get"}},
	}
}

// NarrowRules is what a syncer needs whatever the fleet manages: to find out who
// the member is, what it serves and what is free there, and to leave it. What the
// fleet manages then is up to a ClusterRole of the member.
func NarrowRules() []rbacv1.PolicyRule {
	read := []string{"get", "list", "watch"}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces", "nodes", "pods", "resourcequotas"}, Verbs: read},
		{APIGroups: []string{"apiextensions.k8s.io"}, Resources: []string{"customresourcedefinitions"}, Verbs: read},
		{APIGroups: []string{"apiregistration.k8s.io"}, Resources: []string{"apiservices"}, Verbs: read},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, ResourceNames: []string{wellknown.SyncerName}, Verbs: []string{"get", "delete"}},
		{NonResourceURLs: []string{"*"}, Verbs: []string{"get"}},
	}
}

// TokenRules is what a syncer needs in namespace fleet-system of the member to
// rotate its tokens.
func TokenRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "create", "delete"}},
	}
}

// ImpersonatorRules is what requests of users are proxied with: to be anybody, and
// nothing else. What they may do in the member is decided by its own roles.
func ImpersonatorRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"users", "groups", "serviceaccounts"}, Verbs: []string{"impersonate"}},
		// uids, and userextras/KEY whatever the key: RBAC knows no userextras/*.
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"*"}, Verbs: []string{"impersonate"}},
	}
}

// ProjectionRules is what the fleet's API server may do in a member as
// wellknown.UserAPIServer, to show what runs in members in the fleet and
// pass on what its users do with them. The fleet's RBAC decides about those users;
// this is the most that all of them together may do. It reads no Secret and no
// ConfigMap.
func ProjectionRules() []rbacv1.PolicyRule {
	read, act := []string{"get", "list", "watch"}, []string{"get", "create"}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"endpoints", "events", "nodes", "persistentvolumeclaims", "persistentvolumes", "pods", "services"}, Verbs: read},
		{APIGroups: []string{"apps"}, Resources: []string{"controllerrevisions", "replicasets"}, Verbs: read},
		{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: read},
		// Whose claims and Jobs are.
		{APIGroups: []string{"apps"}, Resources: []string{"statefulsets"}, Verbs: []string{"get"}},
		{APIGroups: []string{"batch"}, Resources: []string{"cronjobs"}, Verbs: []string{"get"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: read},
		{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: read},
		{APIGroups: []string{"metrics.k8s.io"}, Resources: []string{"nodes", "pods"}, Verbs: read},
		{APIGroups: []string{"custom.metrics.k8s.io", "external.metrics.k8s.io"}, Resources: []string{"*"}, Verbs: []string{"get", "list"}},
		{APIGroups: []string{""}, Resources: []string{"nodes", "nodes/status", "pods", "pods/ephemeralcontainers", "pods/resize", "pods/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"delete"}},
		{APIGroups: []string{""}, Resources: []string{"persistentvolumeclaims"}, Verbs: []string{"patch", "delete"}},
		{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"patch", "delete"}},
		{APIGroups: []string{""}, Resources: []string{"pods/eviction"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"pods/attach", "pods/exec", "pods/portforward"}, Verbs: act},
	}
}

// ProjectionSubject is who has these rights.
func ProjectionSubject() rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: wellknown.UserAPIServer}
}
