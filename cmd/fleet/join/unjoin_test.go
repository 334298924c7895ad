// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package join

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
)

func TestDelete(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		how    Leaving
		want   []string
	}{
		"Delete": {reason: "One call begins it.", want: []string{"delete uid-1"}},
		"Keep": {
			reason: "The wish to keep objects is recorded before the deletion begins.",
			how:    Leaving{KeepObjects: true},
			want:   []string{`patch {"metadata":{"annotations":{"fleet.dev/unjoin-keep-objects":"true"},"uid":"uid-1"}}`, "delete uid-1"},
		},
		"Force": {
			reason: "So is the wish not to wait, also when the deletion has begun.",
			how:    Leaving{Force: true},
			want:   []string{`patch {"metadata":{"annotations":{"fleet.dev/unjoin-force":"true"},"uid":"uid-1"}}`, "delete uid-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			member := cluster("paris", "m1")
			client := fleetfake.NewClientset(member)
			if err := NewFleet(nil, client).Delete(t.Context(), member, tc.how); err != nil {
				t.Fatalf("\n%s\nDelete(...): %v", tc.reason, err)
			}
			var got []string
			for _, action := range client.Actions() {
				switch a := action.(type) {
				case clienttesting.PatchAction:
					got = append(got, "patch "+string(a.GetPatch()))
				case clienttesting.DeleteAction:
					got = append(got, "delete "+string(*a.GetDeleteOptions().Preconditions.UID))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nDelete(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestAwaitGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := cluster("paris", "m1", deleted)
		fleet := newTestFleet(member)
		go func() {
			time.Sleep(10 * time.Second)
			if err := fleet.fleet.ClusterV1alpha1().Clusters().Delete(t.Context(), "paris", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}()
		if err := fleet.AwaitGone(t.Context(), member, func(string) {}); err != nil {
			t.Errorf("\nThe wait ends with the Cluster.\nAwaitGone(...): %v", err)
		}
	})
}

func TestUnjoining(t *testing.T) {
	releasing := metav1.Condition{Type: "Unjoining", Status: metav1.ConditionTrue, Reason: "ReleasingObjects", Message: "3 objects are left"}
	for name, tc := range map[string]struct {
		reason     string
		conditions []metav1.Condition
		want       string
	}{
		"NotBegun": {
			reason: "Without a controller nothing happens, which is said.",
			want:   "the controller manager of the fleet has not begun yet",
		},
		"Releasing": {
			reason:     "The controller says how far it is.",
			conditions: []metav1.Condition{releasing},
			want:       "3 objects are left",
		},
		"Unreachable": {
			reason: "A member that is waited for in vain is named as the cause.",
			conditions: []metav1.Condition{
				releasing,
				{Type: "Ready", Status: metav1.ConditionUnknown, Reason: "ClusterStatusUnknown", Message: "no heartbeat"},
			},
			want: "3 objects are left; the member is not ready (ClusterStatusUnknown: no heartbeat)",
		},
		"Namespace": {
			reason: "The namespace in the fleet goes without the member.",
			conditions: []metav1.Condition{
				{Type: "Unjoining", Status: metav1.ConditionTrue, Reason: "RemovingNamespace", Message: "namespace is being deleted"},
				{Type: "Ready", Status: metav1.ConditionFalse, Reason: "ClusterNotReachable"},
			},
			want: "namespace is being deleted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := unjoining(&clusterv1alpha1.Cluster{Status: clusterv1alpha1.ClusterStatus{Conditions: tc.conditions}})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nunjoining(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
