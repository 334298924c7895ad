// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// TestMembersTurn tells when a member is not heard from any more, and when it is again.
func TestMembersTurn(t *testing.T) {
	cases := map[string]struct {
		reason      string
		ready       []metav1.ConditionStatus
		turns       int
		unreachable bool
	}{
		"Lost":      {reason: "a member is lost", ready: []metav1.ConditionStatus{"True", "Unknown"}, turns: 1, unreachable: true},
		"Found":     {reason: "one that was lost at the start is found", ready: []metav1.ConditionStatus{"Unknown", "True"}, turns: 2},
		"Unhealthy": {reason: "one that says it is not well is heard from", ready: []metav1.ConditionStatus{"True", "False"}},
		"Still":     {reason: "one that stays lost is lost once", ready: []metav1.ConditionStatus{"Unknown", "Unknown"}, turns: 1, unreachable: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(memberThatIs("a", tc.ready[0]))
			informers := fleetinformers.NewSharedInformerFactory(client, 0)
			members := newProjectedMembers(nil)
			turned := make(chan string)
			members.turned = func(name string) { turned <- name }
			if err := members.watch(informers.Cluster().V1alpha1().Clusters().Informer()); err != nil {
				t.Fatal(err)
			}
			informers.Start(t.Context().Done())
			if !cache.WaitForCacheSync(t.Context().Done(), members.synced) {
				t.Fatal("the informer was not synced")
			}
			clusters := client.ClusterV1alpha1().Clusters()
			if _, err := clusters.Update(t.Context(), memberThatIs("a", tc.ready[1]), metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			// What comes after all else is known to come.
			if _, err := clusters.Create(t.Context(), memberThatIs("last", metav1.ConditionUnknown), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			got := map[string]int{}
			for got["last"] == 0 {
				select {
				case name := <-turned:
					got[name]++
				case <-time.After(time.Minute):
					t.Fatalf("%s: the last member did not turn, only %v", tc.reason, got)
				}
			}
			if diff := cmp.Diff(tc.turns, got["a"]); diff != "" {
				t.Errorf("%s: turns: -want +got:\n%s", tc.reason, diff)
			}
			if got := members.unreachable("a"); got != tc.unreachable {
				t.Errorf("%s: unreachable: want %t, got %t", tc.reason, tc.unreachable, got)
			}
		})
	}
}

// memberThatIs returns a Cluster with a condition Ready.
func memberThatIs(name string, ready metav1.ConditionStatus) *clusterv1alpha1.Cluster {
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Push}}
	meta.SetStatusCondition(&cluster.Status.Conditions, metav1.Condition{Type: clusterv1alpha1.ClusterConditionReady, Status: ready, Reason: "Tested"})
	return cluster
}
