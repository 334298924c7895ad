// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/member"
)

// Members are the members a Syncer serves and the way to them: Push or Pull. It
// is all that differs between the two modes.
type Members struct {
	// watched selects the Clusters the syncer may see.
	watched fields.Selector
	// serves picks those it serves.
	serves func(*clusterv1alpha1.Cluster) bool
	// access leads to the member whose Cluster get returns.
	access func(get func() (*clusterv1alpha1.Cluster, error), secrets corev1client.SecretsGetter) member.Access
	// route has all of a Cluster that access depends on and a session cannot
	// follow while it runs; another one needs another session.
	route func(*clusterv1alpha1.Cluster) string
}

// Push serves the members in Push mode whose names picks accepts, all of them
// when it is nil. They are reached at the endpoint and with the credentials the
// fleet holds.
func Push(picks func(cluster string) bool) Members {
	return Members{
		watched: fields.Everything(),
		serves: func(cluster *clusterv1alpha1.Cluster) bool {
			return cluster.Spec.SyncMode == clusterv1alpha1.Push && (picks == nil || picks(cluster.Name))
		},
		access: member.PushAccess,
		route: func(cluster *clusterv1alpha1.Cluster) string {
			spec := cluster.Spec
			return fmt.Sprintf("%q %v %t %q %q", spec.APIEndpoint, spec.SecretRef,
				spec.InsecureSkipTLSVerification, spec.ProxyURL, spec.ProxyHeader)
		},
	}
}

// Pull serves the one member of that name, in Pull mode, which the process has
// access to by itself. No other Cluster is read.
func Pull(cluster string, access member.Access) Members {
	return Members{
		watched: fields.OneTermEqualSelector(metav1.ObjectNameField, cluster),
		serves: func(c *clusterv1alpha1.Cluster) bool {
			return c.Spec.SyncMode == clusterv1alpha1.Pull && c.Name == cluster
		},
		access: func(func() (*clusterv1alpha1.Cluster, error), corev1client.SecretsGetter) member.Access {
			return access
		},
		route: func(*clusterv1alpha1.Cluster) string { return "" },
	}
}
