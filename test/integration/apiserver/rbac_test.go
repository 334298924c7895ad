// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// TestRights shows that each component may do its work and not another's. Rights
// are written as for `kubectl auth can-i`: verb, resource.group/subresource.
func TestRights(t *testing.T) {
	tests := map[string]struct {
		user   string
		may    []string
		mayNot []string
	}{
		"scheduler": {
			user: wellknown.UserScheduler,
			may: []string{
				"watch deployments.apps", "list databases.example.com", "watch clusters.cluster.fleet.dev",
				"list propagationpolicies.policy.fleet.dev", "list clusteroverridepolicies.policy.fleet.dev",
				"create resourcebindings.work.fleet.dev", "patch clusterresourcebindings.work.fleet.dev", "delete resourcebindings.work.fleet.dev",
				"update resourcebindings.work.fleet.dev/status", "create events.events.k8s.io", "update leases.coordination.k8s.io",
			},
			mayNot: []string{
				"update clusters.cluster.fleet.dev", "update clusters.cluster.fleet.dev/status", "delete clusters.cluster.fleet.dev",
				"update deployments.apps", "update deployments.apps/status", "create deployments.apps", "delete configmaps",
				"update propagationpolicies.policy.fleet.dev", "delete clusterpropagationpolicies.policy.fleet.dev",
				"update works.work.fleet.dev/status", "create workfeedbacks.work.fleet.dev", "deletecollection resourcebindings.work.fleet.dev",
				"accept clusters.cluster.fleet.dev", "create secrets", "update clusterroles.rbac.authorization.k8s.io", "impersonate users", "create pods/exec",
			},
		},
		"syncer": {
			user: wellknown.UserSyncer,
			may: []string{
				"watch clusters.cluster.fleet.dev", "patch clusters.cluster.fleet.dev/status", "watch works.work.fleet.dev",
				"patch works.work.fleet.dev/status", "create workfeedbacks.work.fleet.dev", "get namespaces",
				"watch resourceinterpretercustomizations.config.fleet.dev",
				"update leases.coordination.k8s.io", "create events",
			},
			mayNot: []string{
				"create deployments.apps", "get deployments.apps", "update deployments.apps/status", "list configmaps",
				"update resourceinterpretercustomizations.config.fleet.dev",
				"get propagationpolicies.policy.fleet.dev", "list clusterpropagationpolicies.policy.fleet.dev", "list overridepolicies.policy.fleet.dev",
				"get resourcebindings.work.fleet.dev", "update resourcebindings.work.fleet.dev/status", "update clusterresourcebindings.work.fleet.dev",
				"update clusters.cluster.fleet.dev", "create clusters.cluster.fleet.dev", "delete clusters.cluster.fleet.dev",
				"patch resourcebindings.work.fleet.dev/tombstones", "accept clusters.cluster.fleet.dev", "get secrets", "list secrets", "create secrets", "update secrets", "create namespaces", "get clusterroles.rbac.authorization.k8s.io", "impersonate users",
			},
		},
		"controller-manager": {
			user: wellknown.UserControllerManager,
			may: []string{
				"update clusters.cluster.fleet.dev", "update clusters.cluster.fleet.dev/status", "update clusters.cluster.fleet.dev/finalizers",
				"create clusters.cluster.fleet.dev", "accept clusters.cluster.fleet.dev", "update certificatesigningrequests.certificates.k8s.io/approval",
				"update resourcebindings.work.fleet.dev", "patch clusterresourcebindings.work.fleet.dev", "create namespaces", "delete namespaces",
				"delete configmaps", "list databases.example.com", "delete databases.example.com", // garbage collector, namespaces
				"patch resourcebindings.work.fleet.dev/tombstones", "create rolebindings.rbac.authorization.k8s.io", "update resourcequotas/status", "update leases.coordination.k8s.io", "create events",
			},
			// The garbage collector's role, upstream's, may update and delete anything.
			mayNot: []string{
				"approve signers.certificates.k8s.io", "create resourcebindings.work.fleet.dev", "create propagationpolicies.policy.fleet.dev",
				"create workfeedbacks.work.fleet.dev", "create deployments.apps", "create pods/exec", "impersonate users",
				"create clusterrolebindings.rbac.authorization.k8s.io", "bind clusterroles.rbac.authorization.k8s.io",
			},
		},
		"admin": {
			user: "fleet-admin",
			may:  []string{"* *.*", "create clusters.cluster.fleet.dev", "impersonate users"},
		},
	}
	for identity, tc := range tests {
		t.Run(identity, func(t *testing.T) {
			kube := kubernetes.NewForConfigOrDie(shared.ConfigFor(t, identity))
			self, err := kube.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if self.Status.UserInfo.Username != tc.user {
				t.Errorf("user behind the kubeconfig: want %q, got %q", tc.user, self.Status.UserInfo.Username)
			}
			for _, right := range tc.may {
				if !can(t, kube, right) {
					t.Errorf("may not %s, which it needs", right)
				}
			}
			for _, right := range tc.mayNot {
				if can(t, kube, right) {
					t.Errorf("may %s, which is not its work", right)
				}
			}
		})
	}
	t.Run("Refused", func(t *testing.T) {
		syncer := fleetclient.NewForConfigOrDie(shared.ConfigFor(t, "syncer"))
		_, err := syncer.PolicyV1alpha1().ClusterPropagationPolicies().Get(t.Context(), wellknown.DefaultPolicyName, metav1.GetOptions{})
		want := `User "system:fleet:syncer" cannot get resource "clusterpropagationpolicies" in API group "policy.fleet.dev" at the cluster scope`
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("the syncer reads a policy: want 403 with %q, got %v", want, err)
		}
		scheduler := fleetclient.NewForConfigOrDie(shared.ConfigFor(t, "scheduler"))
		_, err = scheduler.ClusterV1alpha1().Clusters().Create(t.Context(), cluster("eu"), dryRun)
		if !apierrors.IsForbidden(err) {
			t.Errorf("the scheduler creates a Cluster: want 403, got %v", err)
		}
	})
}

// can asks whether the client's user has a right in all namespaces.
func can(t *testing.T, kube kubernetes.Interface, right string) bool {
	t.Helper()
	verb, rest, _ := strings.Cut(right, " ")
	rest, subresource, _ := strings.Cut(rest, "/")
	resource, group, _ := strings.Cut(rest, ".")
	review, err := kube.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: group, Resource: resource, Subresource: subresource,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("ask for the right to %s: %v", right, err)
	}
	return review.Status.Allowed
}

func cluster(region string) *clusterv1alpha1.Cluster {
	return &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "m1"},
		Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Push, Region: region},
	}
}
