// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// two is a fleet of two equal members with the zero-policy default.
func two(t *testing.T, test func(h *harness)) {
	t.Helper()
	inBubble(t, func(h *harness) {
		h.autoPolicy()
		h.member("m1")
		h.member("m2")
		test(h)
	})
}

func TestDeploymentIsDividedAndScaled(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		h.want(web, "m1=3 m2=3", "Six replicas on two equal members are three each.")
		h.wantWrites(1, "A placement is one write.")

		h.create(deployment("web", 9))
		h.settle()
		h.want(web, "m1=5 m2=4", "Three more are placed, none is moved.")
		h.wantWrites(1, "Scaling is one write.")

		h.create(deployment("web", 3))
		h.settle()
		h.want(web, "m1=2 m2=1", "Scaling down keeps the proportions.")

		h.create(deployment("web", 0))
		h.settle()
		h.want(web, "m1 m2", "At rest it stays where it was.")
	})
}

func TestUnchangedDecisionIsNotWritten(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		h.wantWrites(1, "A placement is one write.")

		changed := deployment("web", 6)
		changed.Spec.Template.Spec.Containers[0].Image = "nginx:2"
		changed.Labels = map[string]string{"new": "label"}
		h.create(changed)
		h.settle()
		h.wantWrites(0, "Another image or label changes no decision.")

		h.store.report(web)
		h.settle()
		h.wantWrites(0, "Nor does feedback.")

		h.member("m1", labelled("new", "label"))
		h.member("m3")
		h.settle()
		h.wantWrites(0, "Nor does a member that is not needed.")
	})
}

func TestStatusWritesAreNoConflict(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		h.store.takeWrites()
		h.store.beforeWrite = func() { h.store.report(web) }
		h.create(deployment("web", 8))
		h.settle()
		h.want(web, "m1=4 m2=4", "A status written in between does not get in the way.")
		h.wantWrites(1, "The first try succeeds.")
	})
}

func TestStaleDecisionIsMadeAgain(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		h.store.beforeWrite = func() { h.store.drop(web, "m2") }
		h.create(deployment("web", 8))
		h.settle()
		h.want(web, "m1=6 m2=2", "The decision is made again on what somebody else wrote, by which five are missing.")
	})
}

func TestFailedWriteIsRetried(t *testing.T) {
	two(t, func(h *harness) {
		h.store.fail = errors.New("no route to host")
		web := h.create(deployment("web", 2))
		h.settle()
		h.want(web, "m1=1 m2=1", "A write that failed is tried again.")
	})
}

func TestEqualMembersAreFilledEvenly(t *testing.T) {
	two(t, func(h *harness) {
		counts := map[string]int{}
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			key := h.create(deployment(name, 1))
			for h.queue.Len() > 0 {
				h.scheduleOne(h.ctx)
			}
			h.inFlight.Wait()
			counts[h.clustersOf(key)]++
		}
		want := map[string]int{"m1=1": 3, "m2=1": 3}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("what was just decided counts for the next decision: -want, +got:\n%s", diff)
		}
	})
}

func TestAutoByKind(t *testing.T) {
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "x"}
	podTemplate := corev1.PodTemplateSpec{Spec: podSpec()}
	cases := map[string]struct {
		reason string
		create func(h *harness) template.Key
		want   string
	}{
		"StatefulSet": {
			reason: "A StatefulSet goes to one member.",
			create: func(h *harness) template.Key {
				return h.create(&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](3), Template: podTemplate}})
			},
			want: "m1=3",
		},
		"DaemonSet": {
			reason: "A DaemonSet goes to every member.",
			create: func(h *harness) template.Key {
				return h.create(&appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: podTemplate}})
			},
			want: "m1 m2",
		},
		"Job": {
			reason: "A Job goes to one member.",
			create: func(h *harness) template.Key { return h.create(job("x")) },
			want:   "m1",
		},
		"CronJob": {
			reason: "A CronJob goes to one member.",
			create: func(h *harness) template.Key {
				return h.create(&batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: podTemplate}}}})
			},
			want: "m1",
		},
		"Pod": {
			reason: "A bare Pod goes to one member.",
			create: func(h *harness) template.Key { return h.create(&corev1.Pod{ObjectMeta: meta, Spec: podSpec()}) },
			want:   "m1",
		},
		"ClusterRole": {
			reason: "Cluster-scoped configuration goes to every member.",
			create: func(h *harness) template.Key {
				return h.create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "x"}})
			},
			want: "m1 m2",
		},
		"ClusterRoleBindingOfServiceAccount": {
			reason: "A binding of service accounts travels with them.",
			create: func(h *harness) template.Key {
				return h.create(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "sa"}}})
			},
			want: "m1 m2",
		},
		"ClusterRoleBindingOfUser": {
			reason: "A binding of a user stays in the fleet.",
			create: func(h *harness) template.Key {
				return h.create(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "jane"}}})
			},
			want: "none",
		},
		"ConfigMapAlone": {
			reason: "Configuration of a namespace without workloads is not placed.",
			create: func(h *harness) template.Key { return h.create(configMap("x")) },
			want:   "none",
		},
		"ClaimAlone": {
			reason: "A claim that nothing mounts is not placed.",
			create: func(h *harness) template.Key { return h.create(&corev1.PersistentVolumeClaim{ObjectMeta: meta}) },
			want:   "none",
		},
		"ClaimAtOnce": {
			reason: "One that is to be in one member does not wait for a Pod.",
			create: func(h *harness) template.Key {
				claim := &corev1.PersistentVolumeClaim{ObjectMeta: meta}
				claim.Annotations = map[string]string{wellknown.AnnotationPlacement: wellknown.PlacementSingle}
				return h.create(claim)
			},
			want: "m1",
		},
		"Autoscaler": {
			reason: "An autoscaler works on the fleet.",
			create: func(h *harness) template.Key {
				h.create(deployment("web", 6))
				return h.create(&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta})
			},
			want: "none",
		},
		"FinishedJob": {
			reason: "A Job that ran to its end is not run again.",
			create: func(h *harness) template.Key {
				finished := job("x")
				finished.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
				return h.create(finished)
			},
			want: "none",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			two(t, func(h *harness) {
				key := tc.create(h)
				h.settle()
				h.want(key, tc.want, tc.reason)
			})
		})
	}
}

func TestFootprint(t *testing.T) {
	two(t, func(h *harness) {
		config := h.create(configMap("config"))
		namespace := h.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
		other := h.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "config"}})
		h.settle()
		h.wantWrites(0, "Without a workload nothing is placed.")

		first := h.create(job("first"))
		h.settle()
		h.want(first, "m1", "The first job goes to the first member.")
		h.want(config, "m1", "Configuration follows the workloads of its namespace.")
		h.want(namespace, "m1", "The namespace goes where something lands.")
		h.want(other, "none", "Other namespaces are not concerned.")
		h.wantWrites(3, "One write each.")

		web := h.create(deployment("web", 6))
		h.settle()
		h.want(config, "m1 m2", "It follows to further members.")
		h.want(namespace, "m1 m2", "So does the namespace.")
		h.wantWrites(3, "One write each.")

		late := h.create(configMap("late"))
		h.settle()
		h.want(late, "m1 m2", "Configuration that comes later finds the footprint.")

		h.delete(web)
		h.settle()
		h.store.confirm(web)
		h.settle()
		h.want(config, "m1 m2", "A footprint that shrinks takes nothing away.")
	})
}

func TestClaimsFollowPods(t *testing.T) {
	two(t, func(h *harness) {
		claim := h.create(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data"}})
		db := deployment("db", 2)
		db.Spec.Template.Spec = mounting("data")
		dbKey := h.create(db)
		h.settle()
		h.want(dbKey, "m1=2", "Pods that share a volume stay together.")
		h.want(claim, "m1", "The claim is where its Pods are.")

		h.member("m1", pods(5))
		backup := job("backup")
		backup.Spec.Template.Spec = mounting("data")
		backupKey := h.create(backup)
		h.settle()
		h.want(backupKey, "m1", "A later Pod goes to the volume, though another member is roomier.")
	})
}

func TestCustomResources(t *testing.T) {
	kind := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	two(t, func(h *harness) {
		h.fleet.define(kind, "widgets", true)
		early := h.createCustom(kind, "shop", "early")
		h.settle()
		h.want(early, "none", "A kind no member serves cannot be placed.")

		definition := h.put(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"},
			&metav1.ObjectMeta{Name: "widgets.example.com"}, template.Traits{})
		h.settle()
		h.want(definition, "m1 m2", "A definition goes to every member.")
		h.want(early, "m1 m2", "Its resources follow, before members report the kind.")

		h.create(job("operator"))
		h.settle()
		late := h.createCustom(kind, "shop", "late")
		h.settle()
		h.want(late, "m1", "With a footprint they go there.")
	})
}

func TestNoMemberFits(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.autoPolicy()
		h.member("m1", notReady)
		h.member("m2", tainted("maintenance"))
		web := h.create(deployment("web", 2))
		role := h.create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "x"}})
		h.settle()
		h.want(web, "", "The binding exists, to say why.")
		h.want(role, "none", "Configuration without a member needs no record.")
		h.wantWrites(2, "The binding and its status.")
		condition := meta.FindStatusCondition(h.store.of(web).GetStatus().Conditions, workv1alpha1.ConditionScheduled)
		if condition == nil {
			t.Fatal("no condition Scheduled")
		}
		got := condition.Reason + ": " + condition.Message
		if diff := cmp.Diff("NoClusterFit: 0/2 clusters are available: 1 had untolerated taint {maintenance: }, 1 were not ready", got); diff != "" {
			t.Errorf("-want, +got:\n%s", diff)
		}
		wantReasons := []workv1alpha1.ClusterReason{
			{ClusterName: "m1", Plugin: "ClusterReady", Message: "were not ready"},
			{ClusterName: "m2", Plugin: "TaintToleration", Message: "had untolerated taint {maintenance: }"},
		}
		if diff := cmp.Diff(wantReasons, h.store.of(web).GetStatus().Reasons); diff != "" {
			t.Errorf("-want, +got:\n%s", diff)
		}
		if event := <-h.events.Events; !strings.Contains(event, "FailedScheduling 0/2 clusters are available") {
			t.Errorf("unexpected event %q", event)
		}

		h.requeue(nil, policyRef())
		h.settle()
		h.wantWrites(0, "The same reason is not written again.")

		h.member("m1")
		h.settle()
		h.wantWrites(2, "A placement of each; the server takes the complaint back itself.")
		h.want(web, "m1=2", "A member that became ready takes it.")
		h.want(role, "m1", "Configuration too.")
		condition = meta.FindStatusCondition(h.store.of(web).GetStatus().Conditions, workv1alpha1.ConditionScheduled)
		if condition.Status != metav1.ConditionTrue || len(h.store.of(web).GetStatus().Reasons) > 0 {
			t.Errorf("the condition is not taken back: %+v", condition)
		}

		h.member("m2")
		h.settle()
		h.want(web, "m1=2", "What runs is not moved.")
		h.want(role, "m1 m2", "Configuration goes to a member that lost its taint.")
	})
}

func TestPlacementsStay(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(h *harness)
	}{
		"NotReady":       {reason: "A member that is down keeps what it has.", change: func(h *harness) { h.member("m1", notReady) }},
		"Tainted":        {reason: "A taint is about new placements.", change: func(h *harness) { h.member("m1", tainted("x")) }},
		"PolicyGone":     {reason: "Without a policy it stays.", change: func(h *harness) { h.requeue(h.policies.Delete(policyRef()), policyRef()) }},
		"Full":           {reason: "A member without room keeps what it has.", change: func(h *harness) { h.member("m1", pods(0)) }},
		"BeingUnjoined":  {reason: "Unjoining is for the cluster controller.", change: func(h *harness) { h.member("m1", leaving) }},
		"BothDown":       {reason: "Even when no member is left.", change: func(h *harness) { h.member("m1", notReady); h.member("m2", notReady) }},
		"ClusterInCache": {reason: "A Cluster that memory does not hold but the fleet does is not gone.", change: func(h *harness) { h.cache.RemoveMember("m1"); h.add(h.cache.PlacedOn("m1")) }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			two(t, func(h *harness) {
				web := h.create(deployment("web", 6))
				role := h.create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "x"}})
				h.settle()
				tc.change(h)
				h.queue.Add(web)
				h.queue.Add(role)
				for range 20 {
					if h.queue.Len() > 0 {
						h.scheduleOne(h.ctx)
					}
					h.inFlight.Wait()
				}
				h.want(web, "m1=3 m2=3", tc.reason)
				h.want(role, "m1 m2", tc.reason)
			})
		})
	}
}

func TestNeverPropagated(t *testing.T) {
	two(t, func(h *harness) {
		h.create(deployment("web", 2))
		h.settle()
		h.store.takeWrites()
		for _, object := range []*corev1.ConfigMap{
			configMap("kube-root-ca.crt"),
			{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "x"}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-m1", Name: "x"}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x", Labels: map[string]string{wellknown.LabelCluster: "m1"}}},
		} {
			h.create(object)
		}
		h.settle()
		h.wantWrites(0, "None of them leaves the fleet.")
	})
}

func TestExplicitPolicies(t *testing.T) {
	divided := func(preference policyv1alpha1.ReplicaDivisionPreference, weights *policyv1alpha1.ClusterPreferences) policyv1alpha1.Placement {
		return policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
			ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: preference, WeightPreference: weights,
		}}
	}
	cases := map[string]struct {
		reason    string
		placement policyv1alpha1.Placement
		want      string
	}{
		"Duplicated": {reason: "An empty placement duplicates.", want: "m1 m2 m3"},
		"Names": {
			reason:    "An affinity narrows the members.",
			placement: policyv1alpha1.Placement{ClusterAffinity: &policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m2"}}},
			want:      "m2",
		},
		"Static": {
			reason: "Static weights divide; members without weight get nothing.",
			placement: divided(policyv1alpha1.Weighted, &policyv1alpha1.ClusterPreferences{StaticWeightList: []policyv1alpha1.StaticClusterWeight{
				{TargetCluster: policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m1"}}, Weight: 1},
				{TargetCluster: policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m2"}}, Weight: 2},
			}}),
			want: "m1=2 m2=4",
		},
		"EqualWeights": {
			reason:    "Weighted without weights divides equally.",
			placement: divided(policyv1alpha1.Weighted, nil),
			want:      "m1=2 m2=2 m3=2",
		},
		"Dynamic": {
			reason:    "Dynamic weights follow what is free.",
			placement: divided(policyv1alpha1.Weighted, &policyv1alpha1.ClusterPreferences{DynamicWeight: policyv1alpha1.DynamicWeightByAvailableReplicas}),
			want:      "m1=1 m2=1 m3=4",
		},
		"Aggregated": {
			reason:    "Aggregated uses as few as it can.",
			placement: divided(policyv1alpha1.Aggregated, nil),
			want:      "m3=6",
		},
		"Spread": {
			reason: "A constraint on clusters takes the best.",
			placement: policyv1alpha1.Placement{SpreadConstraints: []policyv1alpha1.SpreadConstraint{
				{SpreadByField: policyv1alpha1.SpreadByFieldCluster, MinGroups: 1, MaxGroups: 2},
			}},
			want: "m1 m3",
		},
		"Ordered": {
			reason: "The first affinity that leaves a member is used.",
			placement: policyv1alpha1.Placement{ClusterAffinities: []policyv1alpha1.ClusterAffinityTerm{
				{AffinityName: "none", ClusterAffinity: policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m9"}}},
				{AffinityName: "some", ClusterAffinity: policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m1", "m2"}}},
			}},
			want: "m1 m2",
		},
		"Regions": {
			reason: "One member of each region.",
			placement: policyv1alpha1.Placement{SpreadConstraints: []policyv1alpha1.SpreadConstraint{
				{SpreadByField: policyv1alpha1.SpreadByFieldCluster, MinGroups: 1, MaxGroups: 2},
				{SpreadByField: policyv1alpha1.SpreadByFieldRegion, MinGroups: 2},
			}},
			want: "m1 m3",
		},
		"TooFewRegions": {
			reason: "There are two regions.",
			placement: policyv1alpha1.Placement{SpreadConstraints: []policyv1alpha1.SpreadConstraint{
				{SpreadByField: policyv1alpha1.SpreadByFieldCluster, MinGroups: 1},
				{SpreadByField: policyv1alpha1.SpreadByFieldRegion, MinGroups: 3},
			}},
			want: "",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.autoPolicy()
				h.member("m1", pods(20), region("eu"))
				h.member("m2", pods(20), region("eu"))
				h.member("m3", pods(80), region("us"))
				h.clusterPolicy("mine", "apps/v1", "Deployment", tc.placement)
				web := h.create(deployment("web", 6))
				h.settle()
				h.want(web, tc.want, tc.reason)
			})
		})
	}
}

func TestHints(t *testing.T) {
	cases := map[string]struct {
		reason      string
		annotations map[string]string
		namespace   map[string]string
		want        string
	}{
		"Duplicated": {reason: "A copy for every member.", annotations: map[string]string{wellknown.AnnotationPlacement: "duplicated"}, want: "m1 m2"},
		"Single":     {reason: "All in one place.", annotations: map[string]string{wellknown.AnnotationPlacement: "single"}, want: "m1=6"},
		"Clusters":   {reason: "Only some members.", annotations: map[string]string{wellknown.AnnotationClusters: "env=prod"}, want: "m2=6"},
		"Namespace":  {reason: "The namespace speaks for its workloads.", namespace: map[string]string{wellknown.AnnotationPlacement: "single"}, want: "m1=6"},
		"Both": {
			reason:      "The object has the last word.",
			annotations: map[string]string{wellknown.AnnotationPlacement: "auto"},
			namespace:   map[string]string{wellknown.AnnotationPlacement: "single"},
			want:        "m1=3 m2=3",
		},
		"Wrong": {reason: "A hint that makes no sense is an error, not ignored.", annotations: map[string]string{wellknown.AnnotationPlacement: "everywhere"}, want: ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.autoPolicy()
				h.member("m1")
				h.member("m2", labelled("env", "prod"))
				h.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: tc.namespace}})
				object := deployment("web", 6)
				object.Annotations = tc.annotations
				web := h.create(object)
				h.settle()
				h.want(web, tc.want, tc.reason)
			})
		})
	}
}

func TestNamespaceHintIsNoticed(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
		h.settle()
		h.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Annotations: map[string]string{wellknown.AnnotationPlacement: "single"}}})
		h.settle()
		h.want(web, "m1=6 !m2", "Templates of a namespace are decided about when its hints change.")
	})
}

func TestOverridesAreResolved(t *testing.T) {
	two(t, func(h *harness) {
		h.setOverride(h.ctx, &policyv1alpha1.ClusterOverridePolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "registry", Generation: 1},
			Spec: policyv1alpha1.OverrideSpec{OverrideRules: []policyv1alpha1.RuleWithCluster{
				{
					TargetCluster: &policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m2"}},
					Overriders:    policyv1alpha1.Overriders{Expression: "1"},
				},
				{
					TargetCluster: &policyv1alpha1.ClusterAffinity{ClusterNames: []string{"m9"}},
					Overriders:    policyv1alpha1.Overriders{Expression: "2"},
				},
			}},
		})
		web := h.create(deployment("web", 6))
		h.settle()
		want := []workv1alpha1.ResolvedOverride{{
			Policy:     workv1alpha1.OverrideReference{Name: "registry", Generation: 1},
			Clusters:   []string{"m2"},
			Overriders: policyv1alpha1.Overriders{Expression: "1"},
			Facts:      []workv1alpha1.ClusterFacts{{Name: "m2"}},
		}}
		if diff := cmp.Diff(want, h.store.of(web).GetSpec().Overrides); diff != "" {
			t.Errorf("overrides: -want, +got:\n%s", diff)
		}
		h.wantWrites(1, "With the placement, in one write.")

		h.member("m2", region("eu"))
		h.settle()
		want[0].Facts[0].Region = "eu"
		if diff := cmp.Diff(want, h.store.of(web).GetSpec().Overrides); diff != "" {
			t.Errorf("overrides after a fact changed: -want, +got:\n%s", diff)
		}
		h.wantWrites(1, "What an expression may ask about is kept up to date.")

		h.member("m1", region("us"))
		h.settle()
		h.wantWrites(0, "Where no expression asks, a changed member changes nothing.")
	})
}

func TestPolicyOfAnotherScheduler(t *testing.T) {
	two(t, func(h *harness) {
		p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "other"}}
		p.Spec.SchedulerName = "other-scheduler"
		p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment"}}
		h.setPropagation(h.ctx, p)
		web := h.create(deployment("web", 6))
		h.settle()
		h.want(web, "none", "It is left to the scheduler the policy names.")

		h.withDeps(true, "m1")
		p.Spec.ResourceSelectors[0] = policyv1alpha1.ResourceSelector{APIVersion: "v1", Kind: "ConfigMap"}
		h.setPropagation(h.ctx, p)
		config := h.create(configMap("config"))
		h.create(needing("web", "config"))
		h.settle()
		h.want(config, "none", "So is what a workload needs.")
	})
}

func TestNodeSelector(t *testing.T) {
	two(t, func(h *harness) {
		object := deployment("web", 2)
		object.Spec.Template.Spec.NodeSelector = map[string]string{"gpu": "yes"}
		web := h.create(object)
		h.settle()
		condition := meta.FindStatusCondition(h.store.of(web).GetStatus().Conditions, workv1alpha1.ConditionScheduled)
		want := "0/2 clusters are available: 2 had no node that the pods may run on"
		if condition == nil || condition.Message != want {
			t.Errorf("condition: want %q, got %+v", want, condition)
		}
	})
}
