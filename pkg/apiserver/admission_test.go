// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/kubeapiserver/options"
)

// TestAdmissionPlugins is a list to read when Kubernetes is updated: a plugin
// that is new there runs here, unless it presumes nodes, volumes or Pods.
func TestAdmissionPlugins(t *testing.T) {
	off := DefaultOffAdmissionPlugins()
	ours := sets.List(off.Difference(options.DefaultOffAdmissionPlugins()))
	wantOurs := []string{
		"NodeDeclaredFeatureValidator", "PersistentVolumeClaimResize", "PodGroupProtection", "PodResizeValidator", "PodTopologyLabels", "RuntimeClass",
		"ServiceAccount", "StorageObjectInUseProtection", "TaintNodesByCondition", "DefaultStorageClass",
	}
	if diff := cmp.Diff(sets.List(sets.New(wantOurs...)), ours); diff != "" {
		t.Errorf("plugins that run upstream and not here, -want +got:\n%s", diff)
	}
	if missing := options.DefaultOffAdmissionPlugins().Difference(off); len(missing) > 0 {
		t.Errorf("plugins that are off upstream run here: %v", sets.List(missing))
	}
	on := sets.List(sets.New(options.AllOrderedPlugins...).Difference(off))
	wantOn := []string{
		"CertificateApproval", "CertificateSigning", "CertificateSubjectRestriction", "ClusterTrustBundleAttest", "DefaultIngressClass",
		"JobValidation", "LimitRanger", "MutatingAdmissionPolicy", "MutatingAdmissionWebhook", "NamespaceLifecycle", "PodGroupWorkloadExists", "PodSecurity", "Priority",
		"ResourceQuota", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook", "DefaultTolerationSeconds",
	}
	if diff := cmp.Diff(sets.List(sets.New(wantOn...)), on); diff != "" {
		t.Errorf("plugins that run, -want +got:\n%s", diff)
	}
	if unknown := off.Difference(sets.New(options.AllOrderedPlugins...)); len(unknown) > 0 {
		t.Errorf("plugins that do not exist cannot be off: %v", sets.List(unknown))
	}
}
