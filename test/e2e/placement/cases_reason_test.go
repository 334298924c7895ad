// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// reasonCases are about what a user is told.
var reasonCases = map[string]testCase{
	"NoClusterFit": {
		reason: "what no member may take is said in a condition, member by member, and in an Event, as kube-scheduler would; it is taken back",
		steps: []step{
			apply(policy("p", "placement: {clusterAffinity: {labelSelector: {matchLabels: {env: nowhere}}}}"), deployment("web", 1)),
			see(
				scheduled("deployment/web", "False NoClusterFit", "0/4 clusters are available: 4 did not match the cluster affinity"),
				because("deployment/web", map[string]string{
					alpha: "did not match the cluster affinity", bravo: "did not match the cluster affinity", charlie: "did not match the cluster affinity", delta: "did not match the cluster affinity",
				}),
				event("deployment/web", "FailedScheduling", "0/4 clusters are available: 4 did not match the cluster affinity"), nowhere("deployment/web"),
			),
			runs("kubectl describe deployment web", "FailedScheduling", "0/4 clusters are available"),
			runs("kubectl get resourcebindings", "web-deployment Deployment web <none> NoClusterFit"),
			apply(policy("p", to(alpha))),
			see(placed("deployment/web", on{alpha: 1}), scheduled("deployment/web", "True Success", ""), because("deployment/web", map[string]string{})),
		},
	},
	"PlacementStaysWhenNothingFits": {
		reason: "a changed policy that no member meets leaves what runs alone, and says so",
		steps: []step{
			apply(policy("p", to(alpha)), deployment("web", 2)),
			see(placed("deployment/web", on{alpha: 2}), available("deployment/web", "2")),
			apply(policy("p", "placement: {clusterAffinity: {labelSelector: {matchLabels: {env: nowhere}}}}")),
			see(scheduled("deployment/web", "False NoClusterFit", "")),
			stays(placed("deployment/web", on{alpha: 2}), available("deployment/web", "2")),
		},
	},
	"Explain": {
		reason: "fleet explain says which policies match, which is followed, what is made of each member, and what is different there",
		nodes:  nodes{alpha: {"cpu=4"}, bravo: {"cpu=2"}},
		steps: []step{
			apply(
				policy("web", "priority: 7, "+divided(byRoom, alpha, bravo, delta)), clusterPolicy("wide", to(charlie)),
				override("tag", `overrideRules: [{targetCluster: {clusterNames: [alpha]}, overriders: {imageOverrider: [{component: Tag, operator: replace, value: v2}]}}]`),
				pooled(deployment("web", 3)),
			),
			see(placed("deployment/web", on{alpha: 2, bravo: 1}), available("deployment/web", "3")),
			runs("fleet explain deployment/web",
				"PropagationPolicy/web 7 name followed", "ClusterPropagationPolicy/$NS-wide 0 name", "ClusterPropagationPolicy/fleet-default",
				"alpha 2 2", "bravo 1 1", "charlie - - ClusterAffinity: did not match the cluster affinity", "delta - - TaintToleration: had untolerated taint {dedicated: batch}",
				"Scheduled True Success",
				"In alpha (overrides $NS/tag): spec.replicas: 3 -> 2", `spec.template.spec.containers[0].image: "nginx" -> "nginx:v2"`, "In bravo: spec.replicas: 3 -> 1"),
			runs("fleet explain deploy web", "PropagationPolicy/web 7 name followed"),
			fails("fleet explain deployment/other", "not found"),
		},
	},
	"ExplainUnplaced": {
		reason: "fleet explain says why nothing is placed, and what nothing was decided about",
		steps: []step{
			apply(policy("p", to(delta)), deployment("web", 1), configMap("unused")),
			see(scheduled("deployment/web", "False NoClusterFit", "")),
			runs("fleet explain deployment/web", "0/4 clusters are available: 1 had untolerated taint {dedicated: batch}, 3 did not match the cluster affinity", "Scheduled False NoClusterFit"),
			runs("fleet explain configmap/unused", "its namespace has no workload"),
		},
	},
	"DryRun": {
		reason: "a server-side dry run answers with a warning that says where it would go and why, and stores nothing",
		nodes:  nodes{alpha: {"cpu=4"}, bravo: {"cpu=2"}},
		steps: []step{
			apply(policy("web", divided(byRoom, alpha, bravo))),
			previews(pooled(deployment("web", 3)), "kubectl apply --dry-run=server -f -", "Warning: placement: on alpha (2 replicas), bravo (1 replica), by PropagationPolicy web", "deployment.apps/web created (server dry run)"),
			previews(pooled(deployment("web", 3)), "kubectl create --dry-run=server -f -", "Warning: placement: on alpha (2 replicas), bravo (1 replica), by PropagationPolicy web"),
			previews(configMap("settings"), "kubectl apply --dry-run=server -f -", "Warning: placement: on no member: its namespace has no workload"),
			previews(daemonSet("agent"), "kubectl apply --dry-run=server -f -", "Warning: placement: on alpha, bravo, charlie, by ClusterPropagationPolicy fleet-default"),
			stays(gone("deployment/web"), gone("daemonset/agent"), gone("configmap/settings"), nowhere("deployment/web")),
			apply(pooled(deployment("web", 3))),
			see(placed("deployment/web", on{alpha: 2, bravo: 1}), available("deployment/web", "3")),
			previews(pooled(deployment("web", 6)), "kubectl apply --server-side --force-conflicts --dry-run=server -f -", "Warning: placement: on alpha (4 replicas), bravo (2 replicas), by PropagationPolicy web"),
			stays(placed("deployment/web", on{alpha: 2, bravo: 1})),
		},
	},
	"DryRunRefused": {
		reason: "a dry run says why nothing would be placed, as the condition would",
		steps: []step{
			apply(policy("p", "placement: {clusterAffinity: {clusterNames: [delta]}}")),
			previews(deployment("web", 1), "kubectl apply --dry-run=server -f -", "Warning: placement: on no member: 0/4 clusters are available: 1 had untolerated taint {dedicated: batch}, 3 did not match the cluster affinity"),
			previews(deployment("other", 1).annotated("fleet.dev/placement", "anywhere"), "kubectl apply --dry-run=server -f -", `Warning: placement: on no member`, "is none of auto, duplicated, divided and single"),
		},
	},
	"Render": {
		reason: "fleet render prints what a member gets, field by field",
		steps: []step{
			apply(
				override("tag", `overrideRules: [{targetCluster: {clusterNames: [alpha]}, overriders: {imageOverrider: [{component: Tag, operator: replace, value: v2}]}}]`),
				policy("p", divided(byWeight("alpha=1 bravo=2"), alpha, bravo)), deployment("web", 3).labelled("tier", "front"),
			),
			see(placed("deployment/web", on{alpha: 1, bravo: 2}), field(alpha, "deployment/web", image, "registry.example.com/team/web:v2")),
			renders("deployment/web", alpha), renders("deployment/web", bravo),
			runs("fleet render deployment/web", "# alpha", "# bravo", "replicas: 1", "replicas: 2"),
			fails("fleet render deployment/web --cluster charlie", "is not placed on"),
		},
	},
}

// previews waits until a dry run says what is wanted: the server gives an answer
// within two seconds, or says that it has none, when it is busy.
func previews(o object, command string, want ...string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		data, err := o.in(s).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, patience, "the dry run to answer", func(ctx context.Context) error {
			out, err := s.run(ctx, string(data), strings.Fields(command)...)
			if err != nil {
				return err
			}
			return s.contains(command, out, want)
		})
	}
}

// renders checks that a member has all that "fleet render" prints.
func renders(ref, member string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		out, err := s.run(t.Context(), "", "fleet", "render", ref, "--cluster", member)
		if err != nil {
			t.Fatal(err)
		}
		printed := map[string]any{}
		if err := yaml.Unmarshal([]byte(out), &printed); err != nil {
			t.Fatal(err)
		}
		live, err := s.in(t.Context(), memberNamed(member).memberObjects, parse(ref))
		if err != nil {
			t.Fatal(err)
		}
		data, err := yaml.Marshal(live)
		if err != nil {
			t.Fatal(err)
		}
		had := map[string]any{}
		if err := yaml.Unmarshal(data, &had); err != nil {
			t.Fatal(err)
		}
		if replicas, _, err := unstructured.NestedFloat64(printed, "spec", "replicas"); err != nil || replicas == 0 {
			t.Errorf("%s of %s is printed without replicas: %s", ref, member, out)
		}
		if err := contains(had, printed, ""); err != nil {
			t.Errorf("%s of %s is not as it is printed: %v", ref, member, err)
		}
	}
}

// contains checks that a has every value of b.
func contains(a, b any, path string) error {
	switch b := b.(type) {
	case map[string]any:
		in, _ := a.(map[string]any)
		for key, value := range b {
			if err := contains(in[key], value, path+"."+key); err != nil {
				return err
			}
		}
		return nil
	case []any:
		in, _ := a.([]any)
		if len(in) != len(b) {
			return fmt.Errorf("%s has %d items, want %d", path, len(in), len(b))
		}
		for i := range b {
			if err := contains(in[i], b[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	default:
		if !reflect.DeepEqual(a, b) {
			return fmt.Errorf("%s is %v, want %v", path, a, b)
		}
		return nil
	}
}
