// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

func TestDeparture(t *testing.T) {
	clusterRoles := rbacv1.SchemeGroupVersion.WithResource("clusterroles")
	role := func(fleet, version string) *unstructured.Unstructured {
		r := &unstructured.Unstructured{}
		r.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind("ClusterRole"))
		r.SetName(wellknown.SyncerName)
		r.SetUID("u")
		r.SetLabels(map[string]string{wellknown.LabelManagedBy: fleet})
		r.SetResourceVersion(version)
		return r
	}
	for name, tc := range map[string]struct {
		reason string
		fleet  string
		// deleted is whether the Cluster was seen being deleted.
		deleted bool
		// joined is whether the member joined again before the accounts went.
		joined bool
		gone   bool
	}{
		"Deleted":    {reason: "a member that left has no accounts of the fleet", fleet: testFleet, deleted: true, gone: true},
		"Missing":    {reason: "a Cluster that is missing was not deleted: the etcd may have been restored", fleet: testFleet},
		"OtherFleet": {reason: "another fleet's accounts are not ours to take back", fleet: "fleet-2", deleted: true},
		"Rejoined":   {reason: "what a later join granted stays", fleet: testFleet, deleted: true, joined: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), role(tc.fleet, "7"))
				// The fake knows no preconditions.
				client.PrependReactor("delete", "clusterroles", func(action clienttesting.Action) (bool, runtime.Object, error) {
					wanted := action.(clienttesting.DeleteActionImpl).DeleteOptions.Preconditions
					object, err := client.Tracker().Get(clusterRoles, "", wellknown.SyncerName)
					if err != nil {
						return true, nil, err
					}
					live := object.(*unstructured.Unstructured)
					if *wanted.UID != live.GetUID() || *wanted.ResourceVersion != live.GetResourceVersion() {
						return true, nil, apierrors.NewConflict(rbacv1.Resource("clusterroles"), wellknown.SyncerName, errors.New("another version"))
					}
					return false, nil, nil
				})
				var current atomic.Pointer[clusterv1alpha1.Cluster]
				current.Store(&clusterv1alpha1.Cluster{})
				d := &departure{
					cluster: "one", fleetID: testFleet, roles: client.Resource(clusterRoles), bell: make(chan struct{}, 1),
					get: func() (*clusterv1alpha1.Cluster, error) { return current.Load(), nil },
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); d.run(ctx) }()
				synctest.Wait()
				if tc.deleted {
					now := metav1.Now()
					current.Store(&clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}})
				}
				d.changed()
				synctest.Wait()
				cancel()
				<-done
				if tc.joined {
					if err := client.Tracker().Update(clusterRoles, role(tc.fleet, "8"), ""); err != nil {
						t.Fatal(err)
					}
				}
				d.revoke(t.Context())
				_, err := client.Tracker().Get(clusterRoles, "", wellknown.SyncerName)
				if gone := err != nil; gone != tc.gone {
					t.Errorf("%s: gone %t, want %t", tc.reason, gone, tc.gone)
				}
			})
		})
	}
}
