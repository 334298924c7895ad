// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import "fmt"

// priorityClass is a PriorityClass of the case.
func priorityClass(name string, value int, preemption string) object {
	return manifest(fmt.Sprintf(`{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: $NS-%s}, value: %d, preemptionPolicy: %s}`, name, value, preemption))
}

// about is a policy for one deployment, divided strictly by room over alpha and bravo.
func about(name, more string) object {
	return policy(name, selects("apps/v1", "Deployment", ", name: "+name)+", "+divided(byRoom, alpha, bravo)+more)
}

// priorityCases are about workloads that go before others.
var priorityCases = map[string]testCase{
	"PriorityPreempts": {
		reason: "a workload of higher priority that does not fit has as few replicas of lower ones make room as it needs; they are told",
		nodes:  nodes{alpha: {"cpu=2"}, bravo: {"cpu=2"}},
		steps: []step{
			apply(priorityClass("high", 1000, "PreemptLowerPriority"), about("low", ""), pooled(deployment("low", 4))),
			see(placed("deployment/low", on{alpha: 2, bravo: 2}), available("deployment/low", "4")),
			apply(about("high", ", schedulePriority: {priorityClassSource: KubePriorityClass, priorityClassName: $NS-high}"), pooled(deployment("high", 3))),
			see(
				sums("deployment/high", 3, alpha, bravo), available("deployment/high", "3"), field(theFleet, "resourcebinding/high-deployment", ".spec.schedulePriority.priority", "1000"),
				sums("deployment/low", 1), available("deployment/low", "1"), event("deployment/low", "Preempted", "made room for"),
				scheduled("deployment/low", "False Unschedulable", ""),
			),
			remove("deployment/high"),
			see(placed("deployment/low", on{alpha: 2, bravo: 2}), available("deployment/low", "4"), scheduled("deployment/low", "True Success", "")),
		},
	},
	"PriorityOfPods": {
		reason: "the PriorityClass may be that of the Pods",
		nodes:  nodes{alpha: {"cpu=2"}},
		steps: []step{
			apply(priorityClass("high", 1000, "PreemptLowerPriority"), about("low", ""), pooled(deployment("low", 2))),
			see(placed("deployment/low", on{alpha: 2}), available("deployment/low", "2"), placed("priorityclass/$NS-high", everywhere)),
			apply(
				about("high", ", schedulePriority: {priorityClassSource: PodPriorityClass}"),
				pooled(deployment("high", 2)).with(`{spec: {template: {spec: {priorityClassName: $NS-high}}}}`),
			),
			see(placed("deployment/high", on{alpha: 2}), available("deployment/high", "2"), sums("deployment/low", 0)),
		},
	},
	"PriorityNeverPreempts": {
		reason: "a PriorityClass that does not preempt waits",
		nodes:  nodes{alpha: {"cpu=2"}},
		steps: []step{
			apply(priorityClass("high", 1000, "Never"), about("low", ""), pooled(deployment("low", 2))),
			see(placed("deployment/low", on{alpha: 2}), available("deployment/low", "2")),
			apply(about("high", ", schedulePriority: {priorityClassSource: KubePriorityClass, priorityClassName: $NS-high}"), pooled(deployment("high", 1))),
			see(scheduled("deployment/high", "False Unschedulable", "not enough capacity for 1 more replicas")),
			stays(placed("deployment/low", on{alpha: 2}), nowhere("deployment/high")),
			remove("deployment/low"),
			see(placed("deployment/high", on{alpha: 1}), available("deployment/high", "1")),
		},
	},
	"PriorityIsChecked": {
		reason: "what is not served is refused",
		steps: []step{
			refused(policy("p", "schedulePriority: {priorityClassSource: FederatedPriorityClass, priorityClassName: x}"), "spec.schedulePriority.priorityClassSource"),
			refused(policy("p", "schedulePriority: {priorityClassSource: KubePriorityClass}"), "spec.schedulePriority.priorityClassName"),
		},
	},
}
