// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import rbacv1 "k8s.io/api/rbac/v1"

// rules are what the agent may do in the member: put there whatever users of the
// fleet store, roles included, and pass on requests of these users as theirs.
// Beyond that it has no rights: not to delete collections, not to approve
// certificates, and no verb that is not listed.
func rules() []rbacv1.PolicyRule {
	rule := func(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	return []rbacv1.PolicyRule{
		rule("*", []string{"*"}, "get", "list", "watch", "create", "update", "patch", "delete"),
		rule(rbacv1.GroupName, []string{"roles", "clusterroles"}, "escalate", "bind"),
		{NonResourceURLs: []string{"*"}, Verbs: []string{"get"}},
		rule("", []string{"users", "groups", "serviceaccounts"}, "impersonate"),
		// RBAC has no wildcard for the names of extras alone.
		rule("authentication.k8s.io", []string{"*"}, "impersonate"),
	}
}
