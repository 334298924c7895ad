// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Every component has a user of its own and just the rights it needs. Roles are
// reconciled at each start, as upstream's are.
var (
	readVerbs  = []string{"get", "list", "watch"}
	writeVerbs = []string{"create", "update", "patch", "delete"}
)

func rule(groups, resources, verbs []string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: groups, Resources: resources, Verbs: verbs}
}

// bindable allows to give others a role one does not hold.
func bindable(role string) rbacv1.PolicyRule {
	allowed := rule([]string{rbacv1.GroupName}, []string{"clusterroles"}, []string{"bind"})
	allowed.ResourceNames = []string{role}
	return allowed
}

// impersonable allows to act as a user.
func impersonable(user string) rbacv1.PolicyRule {
	allowed := rule([]string{""}, []string{"users"}, []string{"impersonate"})
	allowed.ResourceNames = []string{user}
	return allowed
}

// controllerRoles are upstream's roles of the stock controllers that run in the
// fleet's controller manager.
var controllerRoles = []string{
	"system:kube-controller-manager",
	"system:controller:certificate-controller",
	"system:controller:clusterrole-aggregation-controller",
	"system:controller:generic-garbage-collector",
	"system:controller:legacy-service-account-token-cleaner",
	"system:controller:namespace-controller",
	"system:controller:resourcequota-controller",
	"system:controller:root-ca-cert-publisher",
	"system:controller:service-account-controller",
	"system:controller:ttl-after-finished-controller",
	"system:controller:validatingadmissionpolicy-status-controller",
}

// countingRoles are upstream's roles of the stock controllers that count Pods of
// members.
var countingRoles = []string{
	"system:controller:disruption-controller",
	"system:controller:horizontal-pod-autoscaler",
}

// namespaceRoles are upstream's namespaced roles that components hold, by user
// and namespace. Serving metrics of one's own takes reading how the API server
// authenticates.
var namespaceRoles = []struct {
	user, namespace, role string
}{
	{wellknown.UserControllerManager, metav1.NamespaceSystem, "system:controller:bootstrap-signer"},
	{wellknown.UserControllerManager, metav1.NamespaceSystem, "system:controller:token-cleaner"},
	{wellknown.UserControllerManager, metav1.NamespacePublic, "system:controller:bootstrap-signer"},
	{wellknown.UserScheduler, metav1.NamespaceSystem, "extension-apiserver-authentication-reader"},
	{wellknown.UserSyncer, metav1.NamespaceSystem, "extension-apiserver-authentication-reader"},
}

const (
	// roleClusterInfo lets a cluster that has nothing but a bootstrap token read
	// what it then verifies with that token.
	roleClusterInfo = "system:fleet:cluster-info"
	// roleBootstrapper lets it ask for a certificate. What it may ask for is checked
	// by admission plugin ClusterRestriction, and fetching it is up to the authorizer
	// of agents, since RBAC cannot say "of one's own".
	roleBootstrapper = "system:fleet:agent-bootstrapper"
)

// roles are the fleet's own namespaced roles.
func roles() map[string][]rbacv1.Role {
	info := rbacv1.Role{ObjectMeta: bootstrapMeta(roleClusterInfo), Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{bootstrapapi.ConfigMapClusterInfo}, Verbs: []string{"get"},
	}}}
	info.Namespace = metav1.NamespacePublic
	return map[string][]rbacv1.Role{metav1.NamespacePublic: {info}}
}

// roleBindings give the components their namespaced roles, and everybody the
// role to read cluster-info.
func roleBindings() map[string][]rbacv1.RoleBinding {
	anonymous := rbacv1.RoleBinding{
		ObjectMeta: bootstrapMeta(roleClusterInfo),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: roleClusterInfo},
		Subjects:   []rbacv1.Subject{userSubject(user.Anonymous)},
	}
	anonymous.Namespace = metav1.NamespacePublic
	bindings := map[string][]rbacv1.RoleBinding{metav1.NamespacePublic: {anonymous}}
	for _, held := range namespaceRoles {
		binding := rbacv1.RoleBinding{
			ObjectMeta: bootstrapMeta(bindingName(held.user, held.role)),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: held.role},
			Subjects:   []rbacv1.Subject{userSubject(held.user)},
		}
		binding.Namespace = held.namespace
		bindings[held.namespace] = append(bindings[held.namespace], binding)
	}
	return bindings
}

func bindingName(user, role string) string {
	return user + ":" + strings.TrimPrefix(role, "system:controller:")
}

func groupSubject(group string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}
}

func userSubject(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

// clusterRoles are the components' roles and the aggregated view, edit and admin
// additions for users.
func clusterRoles() []rbacv1.ClusterRole {
	all := []string{"*"}
	leases := rule([]string{"coordination.k8s.io"}, []string{"leases"}, append(readVerbs, writeVerbs...))
	events := rule([]string{"", "events.k8s.io"}, []string{"events"}, []string{"create", "patch", "update"})
	bindings := []string{"resourcebindings", "clusterresourcebindings"}
	policies := []string{"propagationpolicies", "clusterpropagationpolicies", "overridepolicies", "clusteroverridepolicies"}
	return []rbacv1.ClusterRole{
		clusterRole(wellknown.UserScheduler, "",
			// Any kind can be a template.
			rule(all, all, readVerbs),
			rule([]string{"work.fleet.dev"}, bindings, writeVerbs),
			rule([]string{"work.fleet.dev"}, []string{"resourcebindings/status", "clusterresourcebindings/status"}, []string{"update", "patch"}),
			leases, events,
		),
		clusterRole(wellknown.UserSyncer, "",
			rule([]string{"cluster.fleet.dev"}, []string{"clusters"}, readVerbs),
			rule([]string{"cluster.fleet.dev"}, []string{"clusters/status"}, []string{"update", "patch"}),
			rule([]string{"work.fleet.dev"}, []string{"works"}, readVerbs),
			rule([]string{"work.fleet.dev"}, []string{"works/status"}, []string{"update", "patch"}),
			rule([]string{"work.fleet.dev"}, []string{"workfeedbacks"}, []string{"create"}),
			rule([]string{"config.fleet.dev"}, []string{"resourceinterpretercustomizations"}, readVerbs),
			// The fleet's id is the uid of kube-system.
			rule([]string{""}, []string{"namespaces"}, []string{"get"}),
			leases, events,
		),
		// Credentials of push members, bound in their namespaces one by one by the
		// cluster controller.
		clusterRole(wellknown.RoleCredentials, "",
			rule([]string{""}, []string{"secrets"}, []string{"get", "update"}),
		),
		clusterRole(wellknown.UserControllerManager, "",
			// Registration makes the Clusters of agents and, for tokens that say so,
			// accepts them.
			rule([]string{"cluster.fleet.dev"}, []string{"clusters"}, append(readVerbs, "create", "update", "patch", wellknown.VerbAccept)),
			rule([]string{"cluster.fleet.dev"}, []string{"clusters/status", "clusters/finalizers"}, []string{"update", "patch"}),
			rule([]string{"certificates.k8s.io"}, []string{"certificatesigningrequests/approval"}, []string{"update"}),
			rbacv1.PolicyRule{
				APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"signers"},
				ResourceNames: []string{identity.Signer}, Verbs: []string{"approve"},
			},
			rule([]string{"work.fleet.dev"}, bindings, append(readVerbs, "update", "patch")),
			// What members that are gone will never confirm.
			rule([]string{"work.fleet.dev"}, []string{"resourcebindings/tombstones", "clusterresourcebindings/tombstones"}, []string{"patch", "update"}),
			// Rebalancers are deleted some time after they finished.
			rule([]string{"apps.fleet.dev"}, []string{"workloadrebalancers"}, append(readVerbs, "delete")),
			rule([]string{"apps.fleet.dev"}, []string{"workloadrebalancers/status"}, []string{"update", "patch"}),
			rule([]string{""}, []string{"namespaces"}, append(readVerbs, "create", "delete")),
			// Records of the Pod templates that workloads have had.
			rule([]string{"apps"}, []string{"deployments", "statefulsets", "daemonsets"}, readVerbs),
			rule([]string{"apps"}, []string{"deployments/finalizers", "statefulsets/finalizers", "daemonsets/finalizers"}, []string{"update"}),
			rule([]string{"apps"}, []string{"replicasets", "controllerrevisions"}, append(readVerbs, writeVerbs...)),
			rule([]string{"apps"}, []string{"replicasets/status"}, []string{"update"}),
			rule([]string{"apps"}, []string{"deployments/status"}, []string{"patch"}), // the number of the current one
			// The syncer's access to the credentials of one member.
			rule([]string{rbacv1.GroupName}, []string{"rolebindings"}, append(readVerbs, "create")),
			bindable(wellknown.RoleCredentials),
			// As whom it counts Pods of members.
			impersonable(wellknown.UserCounting),
			leases, events,
		),
		clusterRole(wellknown.UserCounting, "",
			rule([]string{""}, []string{"pods"}, readVerbs),
		),
		// Peers pass its requests to members on.
		clusterRole(wellknown.UserAPIServer, "",
			rule([]string{"cluster.fleet.dev"}, []string{"clusters/proxy"}, all),
		),
		clusterRole(roleBootstrapper, "",
			rule([]string{"certificates.k8s.io"}, []string{"certificatesigningrequests"}, []string{"create"}),
		),
		clusterRole("system:fleet:view", "view",
			rule([]string{"policy.fleet.dev"}, []string{"propagationpolicies", "overridepolicies"}, readVerbs),
			rule([]string{"work.fleet.dev"}, []string{"resourcebindings"}, readVerbs),
			// As the chart of metrics-server has it.
			rule([]string{"metrics.k8s.io"}, []string{"nodes", "pods"}, []string{"get", "list"}),
		),
		clusterRole("system:fleet:edit", "edit",
			rule([]string{"policy.fleet.dev"}, []string{"propagationpolicies", "overridepolicies"}, append(writeVerbs, "deletecollection")),
		),
		clusterRole("fleet-admin", "",
			rule([]string{"cluster.fleet.dev"}, []string{"clusters"}, append(readVerbs, append(writeVerbs, wellknown.VerbAccept)...)),
			rule([]string{"policy.fleet.dev"}, policies, append(readVerbs, append(writeVerbs, "deletecollection")...)),
			// Not works: they hold the Secrets that go to members.
			rule([]string{"work.fleet.dev"}, bindings, readVerbs),
			rule([]string{"config.fleet.dev"}, all, append(readVerbs, writeVerbs...)),
			rule([]string{"apps.fleet.dev"}, []string{"workloadrebalancers"}, append(readVerbs, append(writeVerbs, "deletecollection")...)),
		),
	}
}

// clusterRoleBindings give each component's user its role.
func clusterRoleBindings() []rbacv1.ClusterRoleBinding {
	bindings := []rbacv1.ClusterRoleBinding{
		clusterRoleBinding(wellknown.UserScheduler, wellknown.UserScheduler),
		clusterRoleBinding(wellknown.UserSyncer, wellknown.UserSyncer),
		clusterRoleBinding(wellknown.UserAPIServer, wellknown.UserAPIServer),
		clusterRoleBinding(wellknown.UserControllerManager, wellknown.UserControllerManager),
		clusterRoleBinding(wellknown.UserCounting, wellknown.UserCounting),
	}
	for _, user := range []string{wellknown.UserScheduler, wellknown.UserSyncer} {
		binding := clusterRoleBinding(user, "system:auth-delegator")
		binding.Name = bindingName(user, "auth-delegator")
		bindings = append(bindings, binding)
	}
	bootstrapper := clusterRoleBinding(roleBootstrapper, roleBootstrapper)
	bootstrapper.Subjects = []rbacv1.Subject{groupSubject(wellknown.GroupAgentBootstrappers)}
	bindings = append(bindings, bootstrapper)
	for user, roles := range map[string][]string{wellknown.UserControllerManager: controllerRoles, wellknown.UserCounting: countingRoles} {
		for _, role := range roles {
			binding := clusterRoleBinding(user, role)
			binding.Name = bindingName(user, role)
			bindings = append(bindings, binding)
		}
	}
	return bindings
}

// clusterRole names a role; aggregateTo, unless empty, is the user-facing role
// ("view", "edit", "admin") that takes its rules in.
func clusterRole(name, aggregateTo string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	role := rbacv1.ClusterRole{ObjectMeta: bootstrapMeta(name), Rules: rules}
	if aggregateTo != "" {
		role.Labels["rbac.authorization.k8s.io/aggregate-to-"+aggregateTo] = "true"
	}
	return role
}

func clusterRoleBinding(user, role string) rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{
		ObjectMeta: bootstrapMeta(user),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{userSubject(user)},
	}
}

func bootstrapMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}
