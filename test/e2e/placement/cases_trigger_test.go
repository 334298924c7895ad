// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fleet.dev/fleet/test/testbed"
)

// pendingPatience is how long Pods without a node may take to move: the time they
// have to wait is one minute, see SchedulerConfiguration.
const pendingPatience = 3 * time.Minute

// triggerCases are about what has a placement decided about anew.
var triggerCases = map[string]testCase{
	"PendingPods": {
		reason: "replicas whose Pods find no node for a minute move to where there is room, as many as fit, and an Event says so",
		slow:   true,
		nodes:  nodes{alpha: {"cpu=1"}, bravo: {"cpu=1"}},
		steps: []step{
			apply(pooled(deployment("web", 6))),
			see(placed("deployment/web", on{alpha: 3, bravo: 3}), available("deployment/web", "2")),
			addNode(bravo, "cpu=3"),
			see(available("deployment/web", "4")),
			seeWithin(pendingPatience,
				placed("deployment/web", on{alpha: 2, bravo: 4}), available("deployment/web", "5"),
				event("deployment/web", "ReplicasMoved", "1 replicas found no node in alpha for 1m0s and are placed elsewhere"),
			),
		},
	},
	"SharesMoveWithoutGap": {
		reason: "a member that loses some replicas to another runs them until they run there",
		steps: []step{
			apply(policy("p", divided(byWeight("alpha=1"), alpha, bravo)), deployment("web", 4)),
			see(placed("deployment/web", on{alpha: 4}), available("deployment/web", "4")),
			// Nothing gets ready in the new member while its image cannot be pulled.
			apply(
				override("broken", `overrideRules: [{targetCluster: {clusterNames: [bravo]}, overriders: {imageOverrider: [{component: Repository, operator: replace, value: team/nonexistent}]}}]`),
				policy("p", divided(byWeight("alpha=1 bravo=3"), alpha, bravo)),
			),
			see(
				field(bravo, "deployment/web", ".spec.replicas", "3"), field(bravo, "deployment/web", image, "registry.example.com/team/nonexistent:v1"),
				field(theFleet, "resourcebinding/web-deployment", ".spec.clusters[*].replicas", "1 3"),
			),
			stays(field(alpha, "deployment/web", ".spec.replicas", "4"), field(alpha, "deployment/web", ".status.availableReplicas", "4")),
			remove("overridepolicy/broken"),
			see(placed("deployment/web", on{alpha: 1, bravo: 3}), available("deployment/web", "4")),
		},
	},
	"RescheduleAsked": {
		reason: "who asks for it on the binding has a workload decided about anew, wherever its replicas are",
		nodes:  nodes{alpha: {"cpu=8"}, bravo: {"cpu=8"}},
		steps: append(settledOn(alpha),
			patch("resourcebinding/web-deployment", "{spec: {rescheduleTriggeredAt: '2026-01-01T00:00:00Z'}}"),
			// How many on each depends on when the members told what is free.
			see(sums("deployment/web", 4, alpha, bravo), available("deployment/web", "4")),
		),
	},
	"Rebalancer": {
		reason: "a WorkloadRebalancer has the workloads it names decided about anew, once, and tells of each",
		nodes:  nodes{alpha: {"cpu=8"}, bravo: {"cpu=8"}},
		steps: append(settledOn(alpha),
			apply(manifest(`{apiVersion: apps.fleet.dev/v1alpha1, kind: WorkloadRebalancer, metadata: {name: $NS}, spec: {workloads: [
				{apiVersion: apps/v1, kind: Deployment, namespace: $NS, name: web}, {apiVersion: apps/v1, kind: Deployment, namespace: $NS, name: missing}]}}`)),
			see(
				sums("deployment/web", 4, alpha, bravo), available("deployment/web", "4"),
				field(theFleet, "workloadrebalancer/$NS", ".status.observedWorkloads[0].result", "Successful"),
				field(theFleet, "workloadrebalancer/$NS", ".status.observedWorkloads[1].result", "Failed"),
				field(theFleet, "workloadrebalancer/$NS", ".status.observedWorkloads[1].reason", "ReferencedBindingNotFound"),
			),
			runs("kubectl get workloadrebalancers $NS", "$NS"),
		),
	},
	"RebalancerIsDeleted": {
		reason: "a WorkloadRebalancer that finished is deleted when its time is over",
		steps: []step{
			apply(policy("p", to(alpha)), deployment("web", 1)),
			see(placed("deployment/web", on{alpha: 1})),
			apply(manifest(`{apiVersion: apps.fleet.dev/v1alpha1, kind: WorkloadRebalancer, metadata: {name: $NS}, spec: {ttlSecondsAfterFinished: 1, workloads: [
				{apiVersion: apps/v1, kind: Deployment, namespace: $NS, name: web}]}}`)),
			see(gone("workloadrebalancer/$NS")),
		},
	},
}

// settledOn has four replicas run on one of two members between which they may be
// divided.
func settledOn(member string) []step {
	return []step{
		apply(policy("p", divided(byRoom, member)), pooled(deployment("web", 4))),
		see(available("deployment/web", "4")),
		apply(policy("p", divided(byRoom, alpha, bravo))),
		see(field(theFleet, "resourcebinding/web-deployment", ".spec.policy.generation", "2")),
		stays(placed("deployment/web", on{member: 4})),
	}
}

// addNode adds a node for the case to a member.
func addNode(member, size string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		err := memberNamed(member).AddNodes(t.Context(), testbed.NodeConfig{
			Name: s.namespace + "-added", Labels: map[string]string{poolKey: s.namespace},
			Taints:      []corev1.Taint{{Key: poolKey, Value: s.namespace, Effect: corev1.TaintEffectNoSchedule}},
			Allocatable: resources(size),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// gone checks that the fleet does not have an object.
func gone(ref string) check {
	return func(ctx context.Context, s *story) error {
		_, err := s.in(ctx, bed.fleetObjects, parse(ref))
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		default:
			return fmt.Errorf("%s is there", ref)
		}
	}
}
