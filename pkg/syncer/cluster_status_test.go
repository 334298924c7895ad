// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/member"
	"fleet.dev/fleet/pkg/member/fake"
)

const aNodeManifest = `
apiVersion: v1
kind: Node
metadata: {name: n1}
status:
  allocatable: {cpu: "4", memory: 8Gi, pods: "110"}
  conditions: [{type: Ready, status: "True"}]
`

// keepStatus runs a clusterStatus of the rig's member and returns what reads the
// Cluster, and what counts the writes of its status.
func (r *rig) keepStatus(changes ...func(*clusterv1alpha1.Cluster)) (get func() *clusterv1alpha1.Cluster, writes func() int) {
	r.Helper()
	clusters := r.fleet.ClusterV1alpha1().Clusters()
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "one"}}
	cluster.Status.Conditions = []metav1.Condition{{Type: "Unjoining", Status: metav1.ConditionFalse, Reason: "NotAsked"}}
	for _, change := range changes {
		change(cluster)
	}
	if _, err := clusters.Create(r.Context(), cluster, metav1.CreateOptions{}); err != nil {
		r.Fatal(err)
	}
	read := func() (*clusterv1alpha1.Cluster, error) { return clusters.Get(r.Context(), "one", metav1.GetOptions{}) }
	keeper := newClusterStatus("one", r.session.member, clusters, read, clock.RealClock{})
	keeper.unknown, keeper.carried = r.session.unknownNow, r.session.carried
	r.mu.Lock()
	r.apisChanged = keeper.changed
	r.mu.Unlock()
	keeper.changed()
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan struct{}, 2)
	go func() { keeper.run(ctx); done <- struct{}{} }()
	go func() { keeper.facts.run(ctx); done <- struct{}{} }()
	r.Cleanup(func() { cancel(); <-done; <-done })
	get = func() *clusterv1alpha1.Cluster {
		r.Helper()
		cluster, err := read()
		if err != nil {
			r.Fatal(err)
		}
		return cluster
	}
	return get, func() int {
		n := 0
		for _, action := range r.fleet.Actions() {
			if action.Matches("update", "clusters/status") {
				n++
			}
		}
		return n
	}
}

func TestClusterStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.member.Put(t, fake.Manifest(t, aNodeManifest))
	get, writes := r.keepStatus()
	r.eventually("the status", func() error {
		status := get().Status
		switch {
		case !meta.IsStatusConditionTrue(status.Conditions, clusterv1alpha1.ClusterConditionReady):
			return fmt.Errorf("not ready: %v", status.Conditions)
		case !meta.IsStatusConditionTrue(status.Conditions, clusterv1alpha1.ClusterConditionCompleteAPIEnablements):
			return fmt.Errorf("APIs not complete: %v", status.Conditions)
		case status.NodeSummary == nil || status.NodeSummary.ReadyNum != 1 || status.Capacity == nil || len(status.Capacity.Classes) != 1:
			return fmt.Errorf("capacity unknown: %v", status)
		}
		return nil
	})
	status := get().Status
	if status.KubernetesVersion != "v1.36.3" || len(status.APIEnablements) == 0 {
		t.Errorf("version %q, %d API versions, want the member's", status.KubernetesVersion, len(status.APIEnablements))
	}
	if meta.FindStatusCondition(status.Conditions, "Unjoining") == nil {
		t.Error("a condition of somebody else is gone")
	}

	before := writes()
	r.member.Edit(t, "Node", "", "n1", func(o *unstructured.Unstructured) { put(t, o, "now", "metadata", "annotations", "heartbeat") })
	r.settle()
	if got := writes() - before; got != 0 {
		t.Errorf("%d writes though nothing changed that counts", got)
	}
	r.member.Edit(t, "Node", "", "n1", func(o *unstructured.Unstructured) { put(t, o, "true", "metadata", "labels", "spot") })
	r.settle()
	if got := writes() - before; got != 0 {
		t.Errorf("%d writes right after one before: numbers that change all the time would be written all the time", got)
	}
}

// TestCapacityTellsWhatItHasSeen has numbers come with the version of the works
// that are in them, and the version never come alone.
func TestCapacityTellsWhatItHasSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.session.sightings.see(aWork("v1", "ConfigMap", "{}"), "41", time.Now())
	get, writes := r.keepStatus()
	r.eventually("all there is to tell", func() error {
		switch status := get().Status; {
		case status.Capacity == nil:
			return errors.New("capacity unknown")
		case !meta.IsStatusConditionTrue(status.Conditions, clusterv1alpha1.ClusterConditionReady):
			return errors.New("not ready")
		case !meta.IsStatusConditionTrue(status.Conditions, clusterv1alpha1.ClusterConditionCompleteAPIEnablements):
			return errors.New("APIs not complete")
		default:
			return nil
		}
	})
	if got := get().Status.Capacity.ObservedWorkVersion; got != "41" {
		t.Errorf("version of the numbers: want 41, got %q", got)
	}
	before := writes()
	r.session.sightings.see(aWork("v1", "ConfigMap", "{}"), "42", time.Now())
	r.apisChanged()
	r.settle()
	if got := writes() - before; got != 0 {
		t.Errorf("%d writes for a version alone", got)
	}
}

// TestStatusIsRefused has the fleet refuse the status, as it does to an agent that
// is not accepted: the syncer asks again less and less often, whatever happens in
// the member, and at once when its Cluster changes.
func TestStatusIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var refused atomic.Int32
	var accepted atomic.Bool
	r.fleet.PrependReactor("update", "clusters", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "status" || accepted.Load() {
			return false, nil, nil
		}
		refused.Add(1)
		return true, nil, apierrors.NewForbidden(clusterv1alpha1.Resource("clusters"), "one", errors.New("not accepted"))
	})
	r.member.Put(t, fake.Manifest(t, aNodeManifest))
	get, _ := r.keepStatus()
	for n := range 20 {
		r.member.Edit(t, "Node", "", "n1", func(o *unstructured.Unstructured) { put(t, o, fmt.Sprint(n), "metadata", "labels", "n") })
		r.settle()
	}
	if got := refused.Load(); got == 0 || got > 12 {
		t.Errorf("%d requests were refused, want a few", got)
	}
	accepted.Store(true)
	r.apisChanged() // any news of the Cluster has it look
	r.eventually("the status", func() error {
		if !meta.IsStatusConditionTrue(get().Status.Conditions, clusterv1alpha1.ClusterConditionReady) {
			return errors.New("not ready")
		}
		return nil
	})
}

// TestUndiscoveredStays starts a syncer while part of the discovery of its member
// fails: what was known before it started stays, until the member says that it is
// gone.
func TestUndiscoveredStays(t *testing.T) {
	t.Parallel()
	metrics := schema.GroupVersionKind{Group: "metrics.k8s.io", Version: "v1beta1", Kind: "NodeMetrics"}
	known := clusterv1alpha1.APIEnablement{
		GroupVersion: "metrics.k8s.io/v1beta1",
		Resources:    []clusterv1alpha1.APIResource{{Name: "nodes", Kind: "NodeMetrics"}},
	}
	r := newIdleRig(t)
	r.member.Serve(fake.Kind{GroupVersionKind: metrics, Resource: "nodes"})
	r.member.FailDiscovery(metrics.GroupVersion())
	r.start()
	get, _ := r.keepStatus(func(c *clusterv1alpha1.Cluster) {
		c.Status.APIEnablements = []clusterv1alpha1.APIEnablement{{GroupVersion: "gone/v1"}, known}
	})
	enabled := func(version string) bool {
		return slices.ContainsFunc(get().Status.APIEnablements, func(e clusterv1alpha1.APIEnablement) bool {
			return e.GroupVersion == version && (version != known.GroupVersion || cmp.Equal(e, known))
		})
	}
	r.eventually("part of discovery", func() error {
		if !meta.IsStatusConditionFalse(get().Status.Conditions, clusterv1alpha1.ClusterConditionCompleteAPIEnablements) || !enabled("v1") {
			return fmt.Errorf("not discovered yet: %v", get().Status)
		}
		return nil
	})
	if !enabled(known.GroupVersion) {
		t.Error("a version whose discovery fails is no longer listed: what runs there would be moved away")
	}
	if enabled("gone/v1") {
		t.Error("a version that is not listed any more, and does not fail, is still listed")
	}

	r.member.FailDiscovery(schema.GroupVersion{})
	r.member.Withdraw(metrics)
	r.session.member.Refresh()
	r.eventually("all of discovery", func() error {
		if !meta.IsStatusConditionTrue(get().Status.Conditions, clusterv1alpha1.ClusterConditionCompleteAPIEnablements) || enabled(known.GroupVersion) {
			return fmt.Errorf("not discovered yet: %v", get().Status)
		}
		return nil
	})
}

func TestReadyCondition(t *testing.T) {
	lost := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type result struct {
		Status metav1.ConditionStatus
		Reason string
		Told   bool
	}
	cases := map[string]struct {
		reason string
		health member.Health
		silent bool
		want   result
	}{
		"Ready": {
			reason: "it says so",
			health: member.Health{Reachable: true, Usable: true, Ready: true, Reason: clusterv1alpha1.ClusterReasonReady},
			want:   result{metav1.ConditionTrue, clusterv1alpha1.ClusterReasonReady, true},
		},
		"Refused": {
			reason: "somebody has to renew the credentials",
			health: member.Health{Reachable: true, Reason: clusterv1alpha1.ClusterReasonCredentialsInvalid},
			want:   result{metav1.ConditionFalse, clusterv1alpha1.ClusterReasonCredentialsInvalid, true},
		},
		"SilentForAMoment": {
			reason: "a lost packet is no news",
			health: member.Health{Reason: clusterv1alpha1.ClusterReasonNotReachable, LostSince: lost},
			want:   result{metav1.ConditionFalse, clusterv1alpha1.ClusterReasonNotReachable, false},
		},
		"Silent": {
			reason: "it does not answer",
			health: member.Health{Reason: clusterv1alpha1.ClusterReasonNotReachable, LostSince: lost},
			silent: true,
			want:   result{metav1.ConditionFalse, clusterv1alpha1.ClusterReasonNotReachable, true},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			condition, told := readyCondition(tc.health, tc.silent)
			if diff := cmp.Diff(tc.want, result{condition.Status, condition.Reason, told}); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestAlreadyUnheard(t *testing.T) {
	unknown := &clusterv1alpha1.ClusterStatus{Conditions: []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: metav1.ConditionUnknown}}}
	if !alreadyUnheard(unknown, member.Health{}) {
		t.Error("syncer and cluster controller would overwrite each other while a member is away")
	}
	if alreadyUnheard(unknown, member.Health{Reachable: true}) {
		t.Error("a member that is back stays Unknown")
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	kube := kubefake.NewClientset()
	beat := &heartbeat{
		cluster: "one", identity: "me", clock: clock.RealClock{}, member: r.session.member,
		leases: kube.CoordinationV1().Leases("fleet-cluster-one"),
	}
	verbs := func() []string {
		var verbs []string
		for _, action := range kube.Actions() {
			verbs = append(verbs, action.GetVerb())
		}
		kube.ClearActions()
		return verbs
	}
	renew := func(what string, want ...string) {
		t.Helper()
		if err := beat.renew(t.Context()); err != nil {
			t.Fatalf("%s: renew(): %v", what, err)
		}
		if diff := cmp.Diff(want, verbs()); diff != "" {
			t.Errorf("%s: requests -want +got:\n%s", what, diff)
		}
	}
	renew("first", "get", "create")
	renew("again", "update")
	lease, err := kube.CoordinationV1().Leases("fleet-cluster-one").Get(t.Context(), "one", metav1.GetOptions{})
	if err != nil || *lease.Spec.HolderIdentity != "me" || *lease.Spec.LeaseDurationSeconds != 35 || lease.Spec.RenewTime == nil {
		t.Errorf("lease: %v, %v", lease, err)
	}
	if err := kube.CoordinationV1().Leases("fleet-cluster-one").Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	verbs()
	renew("after somebody deleted it", "update", "get", "create")
}
