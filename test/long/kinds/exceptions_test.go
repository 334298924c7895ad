// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package kinds

// exception is what is not the rule for a kind, and why.
type exception struct {
	// fleet is what becomes of the object in the fleet, where it is not stored.
	fleet string
	// both is what both members have, members what one of them has, instead of the object.
	both    string
	members map[string]string
	// status is what the fleet shows of what members report.
	status string
	// why is a sentence for people.
	why string
}

// Reasons that several kinds have.
const (
	ofFleet      = "The fleet's own."
	question     = "A question to the fleet's API server, which answers. Nothing is stored; ask a member through its proxy."
	aboutNodes   = "About nodes, which members have. Those of members are shown in the fleet."
	aboutServer  = "About the API server of the cluster it is in."
	ofController = "Controllers make it for their own cluster."
	ownStatus    = "The status is that of the fleet's own controllers; every member has its own."
	notIn131     = "Kubernetes 1.31 does not serve the kind in any version that the fleet converts to. The reasons in the status of the binding say so."
)

var notServedInOld = map[string]string{old: unserved}

// exceptions are all of them, by kind.
var exceptions = map[string]exception{
	"Binding":             {fleet: refused, why: "It binds a Pod to a node and is not stored; the schedulers of the members do that."},
	"Event":               {both: stays, why: "It tells what happened in its cluster."},
	"Event.events.k8s.io": {both: stays, why: "It tells what happened in its cluster."},
	"Namespace":           {status: own, why: ownStatus},
	"ValidatingAdmissionPolicy.admissionregistration.k8s.io": {status: own, why: ownStatus},
	"Pod":           {status: no, why: "Two Pods have two statuses, addresses and times; both are in the binding. A Pod in one member has that of its member."},
	"Node":          {both: stays, status: own, why: aboutNodes},
	"ResourceQuota": {status: own, why: ownStatus},
	"CustomResourceDefinition.apiextensions.k8s.io":           {status: own, why: ownStatus},
	"APIService.apiregistration.k8s.io":                       {both: stays, status: own, why: aboutServer},
	"ControllerRevision.apps":                                 {both: stays, why: ofController},
	"WorkloadRebalancer.apps.fleet.dev":                       {both: stays, status: own, why: ofFleet},
	"SelfSubjectReview.authentication.k8s.io":                 {fleet: answered, why: question},
	"TokenReview.authentication.k8s.io":                       {fleet: answered, why: question},
	"LocalSubjectAccessReview.authorization.k8s.io":           {fleet: answered, why: question},
	"SelfSubjectAccessReview.authorization.k8s.io":            {fleet: answered, why: question},
	"SelfSubjectRulesReview.authorization.k8s.io":             {fleet: answered, why: question},
	"SubjectAccessReview.authorization.k8s.io":                {fleet: answered, why: question},
	"CertificateSigningRequest.certificates.k8s.io":           {both: stays, status: own, why: "It asks the authority of one cluster."},
	"Cluster.cluster.fleet.dev":                               {both: stays, status: own, why: ofFleet},
	"ResourceInterpreterCustomization.config.fleet.dev":       {both: stays, why: ofFleet},
	"Lease.coordination.k8s.io":                               {both: stays, why: ofController},
	"FlowSchema.flowcontrol.apiserver.k8s.io":                 {both: stays, status: own, why: aboutServer},
	"PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io": {both: stays, status: own, why: aboutServer},
	"IPAddress.networking.k8s.io":                             {both: stays, why: ofController},
	"ServiceCIDR.networking.k8s.io":                           {both: stays, status: own, why: aboutServer},
	"ClusterOverridePolicy.policy.fleet.dev":                  {both: stays, why: ofFleet},
	"ClusterPropagationPolicy.policy.fleet.dev":               {both: stays, why: ofFleet},
	"OverridePolicy.policy.fleet.dev":                         {both: stays, why: ofFleet},
	"PropagationPolicy.policy.fleet.dev":                      {both: stays, why: ofFleet},
	"ResourceSlice.resource.k8s.io":                           {both: stays, why: aboutNodes},
	"CSINode.storage.k8s.io":                                  {both: stays, why: aboutNodes},
	"CSIStorageCapacity.storage.k8s.io":                       {both: stays, why: ofController},
	"VolumeAttachment.storage.k8s.io":                         {both: stays, status: own, why: aboutNodes},
	"ClusterResourceBinding.work.fleet.dev":                   {both: stays, status: own, why: ofFleet},
	"ResourceBinding.work.fleet.dev":                          {both: stays, status: own, why: ofFleet},
	"WorkFeedback.work.fleet.dev":                             {fleet: refused, why: ofFleet},

	"VolumeAttributesClass.storage.k8s.io": {
		members: map[string]string{old: yes + " as v1beta1"},
		why:     "The member serves the kind in an earlier version, to which the fleet converts.",
	},
	"DeviceClass.resource.k8s.io":                                 {members: notServedInOld, why: notIn131},
	"ResourceClaim.resource.k8s.io":                               {members: notServedInOld, why: notIn131},
	"ResourceClaimTemplate.resource.k8s.io":                       {members: notServedInOld, why: notIn131},
	"MutatingAdmissionPolicy.admissionregistration.k8s.io":        {members: notServedInOld, why: notIn131},
	"MutatingAdmissionPolicyBinding.admissionregistration.k8s.io": {members: notServedInOld, why: notIn131},
}
