// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"slices"
	"strings"

	cmapp "k8s.io/controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
)

// loop is a built controller: it works until ctx ends and then returns.
type loop func(ctx context.Context)

// descriptor is one controller of the manager.
type descriptor struct {
	// name is the canonical name, upstream's where the controller is upstream's.
	name string
	// alias is the older name that upstream still accepts; may be empty.
	alias string
	// build makes the loop. A nil loop means that the configuration leaves the
	// controller nothing to do, like a signer without a key.
	build func(ctx context.Context, d *dependencies) (loop, error)
}

// descriptors is every controller a fleet runs, in the order they are built.
// A fleet has no nodes, pods or volumes of its own: controllers that manage
// those, and those whose work the members do (deployment, job, endpoints, ...),
// are absent on purpose. Those that count Pods count the members' (counting.go).
func descriptors() []descriptor {
	return []descriptor{
		{names.ServiceAccountTokenController, "serviceaccount-token", newServiceAccountToken},
		{names.ServiceAccountController, "serviceaccount", newServiceAccount},
		{names.RootCACertificatePublisherController, "root-ca-cert-publisher", newRootCAPublisher},
		{names.LegacyServiceAccountTokenCleanerController, "legacy-service-account-token-cleaner", newLegacyTokenCleaner},
		{names.NamespaceController, "namespace", newNamespace},
		{names.GarbageCollectorController, "garbagecollector", newGarbageCollector},
		{names.ResourceQuotaController, "resourcequota", newResourceQuota},
		{names.HorizontalPodAutoscalerController, "horizontalpodautoscaling", newAutoscaler},
		{names.DisruptionController, "disruption", newDisruption},
		{names.ClusterRoleAggregationController, "clusterrole-aggregation", newClusterRoleAggregation},
		{names.CertificateSigningRequestSigningController, "csrsigning", newCSRSigning},
		{names.CertificateSigningRequestApprovingController, "csrapproving", newCSRApproving},
		{names.CertificateSigningRequestCleanerController, "csrcleaner", newCSRCleaner},
		{names.BootstrapSignerController, "bootstrapsigner", newBootstrapSigner},
		{names.TokenCleanerController, "tokencleaner", newTokenCleaner},
		{names.TTLAfterFinishedController, "ttl-after-finished", newTTLAfterFinished},
		{names.ValidatingAdmissionPolicyStatusController, "", newAdmissionPolicyStatus},
		{ClusterController, "", newCluster},
		{RegistrationController, "", newRegistration},
		{RebalanceController, "", newRebalance},
		{RevisionController, "", newRevisions},
		{ForegroundController, "", newForeground},
		{PodController, "", newPods},
	}
}

const (
	// ClusterController names the controller of members' lifecycle.
	ClusterController = "cluster-controller"
	// RegistrationController names the controller that lets clusters in Pull mode
	// into the fleet.
	RegistrationController = "registration-controller"
	// RebalanceController names the controller of WorkloadRebalancers.
	RebalanceController = "rebalance-controller"
	// RevisionController names the controller that records the Pod templates that
	// Deployments, StatefulSets and DaemonSets have had.
	RevisionController = "revision-controller"
	// ForegroundController names the controller that ends deletions in the foreground.
	ForegroundController = "foreground-deletion-controller"
	// PodController names the controller that ends graceful deletions of bare Pods.
	PodController = "pod-deletion-controller"
)

// Names returns the canonical names of all controllers, sorted.
func Names() []string {
	var all []string
	for _, d := range descriptors() {
		all = append(all, d.name)
	}
	slices.Sort(all)
	return all
}

// Aliases maps the older names of controllers to the canonical ones.
func Aliases() map[string]string {
	aliases := map[string]string{}
	for _, d := range descriptors() {
		if d.alias != "" {
			aliases[d.alias] = d.name
		}
	}
	return aliases
}

// enabled returns the controllers that a --controllers style selection names.
func enabled(selection []string) []descriptor {
	selection = canonical(selection)
	return slices.DeleteFunc(descriptors(), func(d descriptor) bool {
		return !cmapp.IsControllerEnabled(d.name, nil, selection)
	})
}

// canonical replaces aliases in a selection by canonical names.
func canonical(selection []string) []string {
	aliases := Aliases()
	result := make([]string, len(selection))
	for i, selected := range selection {
		name := trimMinus(selected)
		if full, ok := aliases[name]; ok {
			name = full
		}
		result[i] = name
		if selected != trimMinus(selected) {
			result[i] = "-" + name
		}
	}
	return result
}

func trimMinus(selected string) string { return strings.TrimPrefix(selected, "-") }
