// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// divisions are the namespaced policies of TestMemberEvents, one for the Deployment of
// the same name.
func divisions() map[string]policyv1alpha1.Placement {
	byEnv := func(env string) *policyv1alpha1.ClusterAffinity {
		return &policyv1alpha1.ClusterAffinity{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": env}}}
	}
	tolerant := policyv1alpha1.Placement{ClusterAffinity: byEnv("test")}
	tolerant.ClusterTolerations = []corev1.Toleration{{Key: "quiet", Operator: corev1.TolerationOpExists}}
	return map[string]policyv1alpha1.Placement{
		"prod": {ClusterAffinity: byEnv("prod")},
		"test": {ClusterAffinity: byEnv("test")},
		"all":  {},
		"tiered": {ClusterAffinities: []policyv1alpha1.ClusterAffinityTerm{
			{AffinityName: "a", ClusterAffinity: *byEnv("prod")}, {AffinityName: "b", ClusterAffinity: *byEnv("test")},
		}},
		"weighted": {ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
			ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: policyv1alpha1.Weighted,
			WeightPreference: &policyv1alpha1.ClusterPreferences{StaticWeightList: []policyv1alpha1.StaticClusterWeight{
				{TargetCluster: policyv1alpha1.ClusterAffinity{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"big": "yes"}}}, Weight: 2},
				{Weight: 1},
			}},
		}},
		"spread":   {SpreadConstraints: []policyv1alpha1.SpreadConstraint{{SpreadByLabel: "rack", MaxGroups: 9}}},
		"tolerant": tolerant,
	}
}

// TestMemberEvents changes one member of several and counts which templates are
// decided about again: those it concerns, and no others.
func TestMemberEvents(t *testing.T) {
	labels := func(env, more string) memberOption {
		return func(c *clusterv1alpha1.Cluster) { c.Labels = map[string]string{"env": env, more: "yes"} }
	}
	taint := func(key string, effect corev1.TaintEffect) memberOption {
		return func(c *clusterv1alpha1.Cluster) { c.Spec.Taints = []corev1.Taint{{Key: key, Effect: effect}} }
	}
	once := func(names ...string) map[string]int {
		out := map[string]int{}
		for _, name := range names {
			out[name] = 1
		}
		return out
	}
	cases := map[string]struct {
		reason string
		was    []memberOption
		is     []memberOption
		want   map[string]int
	}{
		"Nothing":       {reason: "An equal report concerns nobody.", was: []memberOption{labels("prod", "x")}, is: []memberOption{labels("prod", "x")}, want: once()},
		"Unasked":       {reason: "A label nobody asks for concerns nobody but whose overrides see all labels.", was: []memberOption{labels("prod", "x")}, is: []memberOption{labels("prod", "y")}, want: once("asking")},
		"Environment":   {reason: "Those whose affinity selects it, or did, in any term.", was: []memberOption{labels("dev", "x")}, is: []memberOption{labels("prod", "x")}, want: once("prod", "tiered", "hinted", "overridden", "asking")},
		"Elsewhere":     {reason: "What selects it neither before nor after is not concerned.", was: []memberOption{labels("dev", "x")}, is: []memberOption{labels("stage", "x")}, want: once("asking")},
		"Weight":        {reason: "Where it weighs more.", was: []memberOption{labels("dev", "x")}, is: []memberOption{labels("dev", "big")}, want: once("weighted", "asking")},
		"Group":         {reason: "Where it is in another group.", was: []memberOption{labels("dev", "x")}, is: []memberOption{labels("dev", "rack")}, want: once("spread", "asking")},
		"TaintComes":    {reason: "A taint is no place for more.", was: []memberOption{labels("prod", "x")}, is: []memberOption{labels("prod", "x"), taint("quiet", corev1.TaintEffectNoSchedule)}, want: once()},
		"TaintGoes":     {reason: "Who was refused for it may come now; who tolerates it was not refused, who selects others is not concerned.", was: []memberOption{labels("test", "x"), taint("quiet", corev1.TaintEffectNoSchedule)}, is: []memberOption{labels("test", "x")}, want: once("test", "all", "weighted", "spread", "overridden", "asking")},
		"BecomesReady":  {reason: "Who selects it.", was: []memberOption{labels("prod", "x"), notReady}, is: []memberOption{labels("prod", "x")}, want: once("prod", "tiered", "shop", "all", "weighted", "spread", "hinted", "overridden", "asking")},
		"ServesWidgets": {reason: "An API that no template is of concerns nobody.", was: []memberOption{labels("prod", "x")}, is: []memberOption{labels("prod", "x"), serving("example.com/v1", "Widget")}, want: once()},
		"ServesApps":    {reason: "One that they are of concerns those that select it.", was: []memberOption{labels("prod", "x"), servingNothing}, is: []memberOption{labels("prod", "x")}, want: once("prod", "tiered", "shop", "all", "weighted", "spread", "hinted", "overridden", "asking")},
		"Leaves":        {reason: "Who is there: without a rack it is in no group of the spread.", was: []memberOption{labels("test", "x")}, is: nil, want: once("test", "all", "weighted", "tolerant", "overridden", "asking")},
		"Comes":         {reason: "Whoever may go there.", was: nil, is: []memberOption{labels("prod", "x")}, want: once("prod", "shop", "all", "weighted", "spread", "hinted", "overridden", "asking", "tiered")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.member("m0", labels("prod", "rack"))
				h.member("m1", labels("test", "rack"))
				if tc.was != nil {
					h.member("m2", tc.was...)
				}
				h.eventTemplates()
				h.settle()
				if tc.is == nil {
					h.unjoined("m2")
				} else {
					h.member("m2", tc.is...)
				}
				if diff := cmp.Diff(tc.want, h.settle()); diff != "" {
					t.Errorf("\n%s\ndecisions: -want, +got:\n%s", tc.reason, diff)
				}
			})
		})
	}
}

func daemonSet(name string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: podSpec()}},
	}
}

func serving(version, kind string) memberOption {
	return func(c *clusterv1alpha1.Cluster) {
		c.Status.APIEnablements = append(slices.Clip(c.Status.APIEnablements), clusterv1alpha1.APIEnablement{
			GroupVersion: version, Resources: []clusterv1alpha1.APIResource{{Name: "x", Kind: kind}},
		})
	}
}

func servingNothing(c *clusterv1alpha1.Cluster) { c.Status.APIEnablements = nil }

// eventTemplates makes a Deployment for each of the divisions, one with a hint, and
// two with overrides.
func (h *harness) eventTemplates() {
	h.autoPolicy()
	for name, placement := range divisions() {
		p := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}}
		p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment", Name: name}}
		p.Spec.Placement = placement
		h.setPropagation(h.ctx, p)
		h.create(deployment(name, 6))
	}
	hinted := daemonSet("hinted")
	hinted.Annotations = map[string]string{wellknown.AnnotationClusters: "env=prod"}
	h.create(hinted)
	h.overrideNamed("overridden", policyv1alpha1.RuleWithCluster{TargetCluster: &policyv1alpha1.ClusterAffinity{
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}},
	}})
	h.overrideNamed("asking", policyv1alpha1.RuleWithCluster{Overriders: policyv1alpha1.Overriders{
		Expression: `Object{metadata: Object.metadata{labels: {"on": cluster.metadata.name}}}`,
	}})
}

// overrideNamed makes a DaemonSet and an override policy for it.
func (h *harness) overrideNamed(name string, rule policyv1alpha1.RuleWithCluster) {
	o := &policyv1alpha1.OverridePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}}
	o.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: name}}
	o.Spec.OverrideRules = []policyv1alpha1.RuleWithCluster{rule}
	h.setOverride(h.ctx, o)
	h.create(daemonSet(name))
}

// TestLabelChangeAmongMany is the count the design asks for: with many members and
// bindings, a changed label has those decided about again that select by it.
func TestLabelChangeAmongMany(t *testing.T) {
	inBubble(t, func(h *harness) {
		const members, regions, perRegion = 40, 8, 25
		for i := range members {
			h.member(fmt.Sprintf("m%02d", i), labelled("region", fmt.Sprintf("r%d", i%regions)))
		}
		for r := range regions {
			placement := policyv1alpha1.Placement{ClusterAffinity: &policyv1alpha1.ClusterAffinity{
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"region": fmt.Sprintf("r%d", r)}},
			}}
			p := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("p%d", r)}}
			p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{
				APIVersion: "v1", Kind: "ConfigMap", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"for": fmt.Sprintf("r%d", r)}},
			}}
			p.Spec.Placement = placement
			h.setPropagation(h.ctx, p)
			for i := range perRegion {
				object := configMap(fmt.Sprintf("c%d-%d", r, i))
				object.Labels = map[string]string{"for": fmt.Sprintf("r%d", r)}
				h.create(object)
			}
		}
		h.settle()
		h.store.takeWrites()
		h.member("m00", labelled("region", "r1"))
		if got := len(h.settle()); got != 2*perRegion {
			t.Errorf("templates decided about after a change from r0 to r1: want the %d that select by these, got %d", 2*perRegion, got)
		}
		h.wantWrites(2*perRegion, "Those of r0 leave the member, those of r1 go there.")
	})
}

// TestEarlierTermIsRemembered: a template that fits by none of its terms is tried
// again when what refused it by the first is gone, not only by the last.
func TestEarlierTermIsRemembered(t *testing.T) {
	inBubble(t, func(h *harness) {
		in := func(name string) policyv1alpha1.ClusterAffinity {
			return policyv1alpha1.ClusterAffinity{ClusterNames: []string{name}}
		}
		h.clusterPolicy("p", "apps/v1", "Deployment", policyv1alpha1.Placement{ClusterAffinities: []policyv1alpha1.ClusterAffinityTerm{
			{AffinityName: "first", ClusterAffinity: in("m1")}, {AffinityName: "second", ClusterAffinity: in("nowhere")},
		}})
		h.member("m1", tainted("busy"))
		web := h.create(deployment("web", 2))
		h.settle()
		h.want(web, "", "The one member is tainted, the other does not exist.")
		h.member("m1")
		h.settle()
		h.want(web, "m1", "The taint is gone.")
	})
}
