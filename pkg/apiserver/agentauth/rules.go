// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agentauth

import (
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// which says which objects of a resource a rule is about.
type which int

const (
	// all objects in the scope of the rule.
	all which = iota
	// unnamed is for create, where the name is in the object: admission looks.
	unnamed
	// namedAsCluster is the object with the name of the agent's Cluster. A list or
	// watch has to select it by metadata.name.
	namedAsCluster
	// kubeSystem is the namespace whose uid is the fleet's id.
	kubeSystem
	// ownRequest is a CertificateSigningRequest of the same user. A list or watch
	// has to select one by metadata.name.
	ownRequest
)

// rule allows verbs on a resource.
type rule struct {
	verbs       []string
	group       string
	resource    string
	subresource string
	// member says that only the namespace of the agent's member counts.
	member bool
	which  which
}

// agentRules is everything an agent may do with resources.
var agentRules = append([]rule{
	{verbs: readVerbs, group: workv1alpha1.GroupName, resource: "works", member: true, which: all},
	{verbs: writeVerbs, group: workv1alpha1.GroupName, resource: "works", subresource: "status", member: true, which: all},
	{verbs: createVerb, group: workv1alpha1.GroupName, resource: "workfeedbacks", member: true, which: unnamed},
	{verbs: createVerb, group: coordinationv1.GroupName, resource: "leases", member: true, which: unnamed},
	{verbs: []string{"get", "update", "patch"}, group: coordinationv1.GroupName, resource: "leases", member: true, which: namedAsCluster},
	{verbs: readVerbs, group: clusterv1alpha1.GroupName, resource: "clusters", which: namedAsCluster},
	{verbs: writeVerbs, group: clusterv1alpha1.GroupName, resource: "clusters", subresource: "status", which: namedAsCluster},
	{verbs: createVerb, group: clusterv1alpha1.GroupName, resource: "clusters", subresource: "tunnel", which: namedAsCluster},
	// How custom resources are read. They are an administrator's words about kinds: no
	// data of any member is in them.
	{verbs: readVerbs, group: configv1alpha1.GroupName, resource: "resourceinterpretercustomizations", which: all},
	{verbs: []string{"get"}, group: corev1.GroupName, resource: "namespaces", which: kubeSystem},
	{verbs: createVerb, group: authenticationv1.GroupName, resource: "selfsubjectreviews", which: unnamed},
}, renewalRules...)

// renewalRules is all that is left to an agent whose certificate has run out.
var renewalRules = append([]rule{
	{verbs: createVerb, group: certificatesv1.GroupName, resource: "certificatesigningrequests", which: unnamed},
}, ownRequestRules...)

// ownRequestRules let whoever asked for a certificate fetch it. RBAC cannot say
// "of one's own".
var ownRequestRules = []rule{
	{verbs: readVerbs, group: certificatesv1.GroupName, resource: "certificatesigningrequests", which: ownRequest},
}

var (
	readVerbs  = []string{"get", "list", "watch"}
	writeVerbs = []string{"update", "patch"}
	createVerb = []string{"create"}
)

// find returns the rule that is about a request for a resource. Whether an
// ownRequest is the user's own is left to the caller.
func find(rules []rule, cluster string, a authorizer.Attributes) (rule, bool) {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.covers(cluster, a) })
	if i < 0 {
		return rule{}, false
	}
	return rules[i], true
}

func (r rule) covers(cluster string, a authorizer.Attributes) bool {
	if a.GetAPIGroup() != r.group || a.GetResource() != r.resource || a.GetSubresource() != r.subresource || !slices.Contains(r.verbs, a.GetVerb()) {
		return false
	}
	if r.member && a.GetNamespace() != clusterv1alpha1.MemberNamespace(cluster) {
		return false
	}
	switch r.which {
	case all:
		return true
	case unnamed:
		return a.GetName() == ""
	case namedAsCluster:
		return a.GetName() == cluster
	case kubeSystem:
		return a.GetName() == metav1.NamespaceSystem
	case ownRequest:
		return a.GetName() != ""
	}
	return false
}

// discoverable returns whether a path tells what the server is and serves, and
// nothing else.
func discoverable(a authorizer.Attributes) bool {
	path := a.GetPath()
	return a.GetVerb() == "get" && (slices.Contains(discoveryPaths, path) || isGroupPath(path))
}

var discoveryPaths = []string{"/version", "/version/", "/api", "/api/", "/api/v1", "/apis", "/apis/", "/readyz", "/livez"}
