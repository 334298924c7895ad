// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/cache"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// on has a policy put Deployments and ConfigMaps on members.
func (h *harness) on(names ...string) {
	affinity := named(names...)
	h.clusterPolicy("mine", "apps/v1", "Deployment", policyv1alpha1.Placement{ClusterAffinity: &affinity})
	h.clusterPolicy("config", "v1", "ConfigMap", policyv1alpha1.Placement{ClusterAffinity: &affinity})
}

func TestEviction(t *testing.T) {
	cases := map[string]struct {
		reason string
		// then happens after the template, on m1 and healthy there, was moved to m2.
		then func(h *harness, web template.Key)
		want string
	}{
		"Waits":   {reason: "Nobody says that the new copy runs.", then: func(*harness, template.Key) {}, want: "m2 !m1"},
		"Healthy": {reason: "The new copy is healthy.", then: func(h *harness, web template.Key) { h.store.healthy(web, "m2") }, want: "m2 -m1"},
		"OldReport": {
			reason: "A report about an earlier decision says nothing about the new copy.",
			then:   func(h *harness, web template.Key) { h.store.wasHealthy(web, 1, "m2") },
			want:   "m2 !m1",
		},
		"GraceEnds":    {reason: "It has waited long enough.", then: func(*harness, template.Key) { time.Sleep(11 * time.Minute) }, want: "m2 -m1"},
		"GraceLasts":   {reason: "It has not.", then: func(*harness, template.Key) { time.Sleep(9 * time.Minute) }, want: "m2 !m1"},
		"NewMemberOff": {reason: "The new member does not answer; the last copy stays.", then: func(h *harness, _ template.Key) { h.member("m2", notReady); time.Sleep(time.Hour) }, want: "m2 !m1"},
		"NewMemberBack": {
			reason: "It answers again, with time to spare long over.",
			then: func(h *harness, _ template.Key) {
				h.member("m2", notReady)
				time.Sleep(time.Hour)
				h.settle()
				h.member("m2")
				time.Sleep(2 * time.Minute)
			},
			want: "m2 -m1",
		},
		"FailedDecision": {
			reason: "A plan that comes to nothing costs no copy.",
			then:   func(h *harness, _ template.Key) { h.on("m9"); h.settle(); time.Sleep(time.Hour) },
			want:   "m2 !m1",
		},
		"PolicyGone": {
			reason: "No more than no plan.",
			then: func(h *harness, _ template.Key) {
				h.removePropagation(policy.Ref{Name: "mine"})
				h.settle()
				time.Sleep(time.Hour)
			},
			want: "m2 !m1",
		},
		"ComesBack":    {reason: "The old member is chosen again, the new one was not needed.", then: func(h *harness, _ template.Key) { h.on("m1") }, want: "m1 !m2"},
		"MovesOn":      {reason: "Both wait for the third.", then: func(h *harness, _ template.Key) { h.on("m3") }, want: "m3 !m1 !m2"},
		"MovedOn":      {reason: "And go when that is healthy.", then: func(h *harness, web template.Key) { h.on("m3"); h.settle(); h.store.healthy(web, "m3") }, want: "m3 -m1 -m2"},
		"Deleted":      {reason: "A template that is deleted has no copies to keep.", then: func(h *harness, web template.Key) { h.delete(web) }, want: "-m1 -m2"},
		"Never":        {reason: "The old copy is left to somebody.", then: func(h *harness, web template.Key) { h.edit(web, policyv1alpha1.PurgeNever, nil); time.Sleep(time.Hour) }, want: "m2 !m1"},
		"Directly":     {reason: "The old copy is not waited for.", then: func(h *harness, web template.Key) { h.edit(web, policyv1alpha1.PurgeDirectly, nil) }, want: "m2 -m1"},
		"Suppressed":   {reason: "Somebody keeps it.", then: func(h *harness, web template.Key) { h.edit(web, "", new(true)); h.store.healthy(web, "m2") }, want: "m2 !m1"},
		"Unsuppressed": {reason: "Somebody does not any more.", then: func(h *harness, web template.Key) { h.edit(web, "", new(false)) }, want: "m2 -m1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.member("m1")
				h.member("m2")
				h.member("m3")
				h.on("m1")
				web := h.create(deployment("web", 6))
				h.settle()
				h.store.healthy(web, "m1")
				h.settle()
				h.store.takeWrites()
				h.on("m2")
				h.settle()
				h.want(web, "m2 !m1", "A move keeps the old copy.")
				h.wantWrites(1, "It is one write.")
				tc.then(h, web)
				h.settle()
				h.want(web, tc.want, tc.reason)
			})
		})
	}
}

// edit changes the one task of a binding, as its other writers do.
func (h *harness) edit(key template.Key, purge policyv1alpha1.PurgeMode, suppress *bool) {
	old := h.store.of(key)
	updated := old.DeepCopyObject().(workv1alpha1.Binding)
	task := &updated.GetSpec().GracefulEvictionTasks[0]
	task.PurgeMode, task.SuppressDeletion = purge, suppress
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	h.store.updateLocked(updated, old)
}

func TestLeavesAtOnce(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.on("m1")
		config := h.create(configMap("config"))
		h.settle()
		h.on("m2")
		h.settle()
		h.want(config, "m2 -m1", "What runs nothing is not waited for.")

		h.clusterPolicy("mine", "apps/v1", "Deployment", byRoom())
		web := h.create(deployment("web", 2))
		h.settle()
		h.want(web, "m1=1 m2=1", "Two replicas are one each.")
		h.create(deployment("web", 1))
		h.settle()
		h.want(web, "m1=1 -m2", "Fewer replicas need no replacement.")

		db := h.create(statefulSet("db", 4))
		h.want(db, "none", "No policy is about it.")
		h.clusterPolicy("db", "apps/v1", "StatefulSet", byRoom())
		h.settle()
		h.want(db, "m1=2 m2=2", "A StatefulSet is divided.")
		h.clusterPolicy("db", "apps/v1", "StatefulSet", byRoom(term("one", named("m1"))))
		h.settle()
		h.want(db, "m1=4 -m2", "Its Pods have a name each, and no two the same.")
	})
}

func TestNarrowedCopies(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.on("m1", "m2")
		web := h.create(deployment("web", 6))
		h.settle()
		h.store.healthy(web, "m2")
		h.settle()
		h.on("m1")
		h.settle()
		h.want(web, "m1 !m2", "The only healthy copy waits for the one that is to stay.")
		h.store.healthy(web, "m1")
		h.settle()
		h.want(web, "m1 -m2", "That is healthy too.")
	})
}

// TestEvictionKeepsItsShare: what leaves runs what it ran until it goes.
func TestEvictionKeepsItsShare(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.clusterPolicy("mine", "apps/v1", "Deployment", byRoom())
		web := h.create(deployment("web", 6))
		h.settle()
		h.clusterPolicy("mine", "apps/v1", "Deployment", byRoom(term("one", named("m1"))))
		h.settle()
		h.want(web, "m1=6 !m2", "The share of one moves to the other.")
		task := h.store.of(web).GetSpec().GracefulEvictionTasks[0]
		if task.Replicas == nil || *task.Replicas != 3 || task.Producer != component || task.CreationTimestamp == nil {
			t.Errorf("task: want 3 replicas of this scheduler, got %+v", task)
		}
		if _, err := cache.Trim(h.store.of(web)); err != nil {
			t.Error(err)
		}
		h.store.healthy(web, "m1")
		trimmed := h.store.of(web)
		if _, err := cache.Trim(trimmed); err != nil || len(trimmed.GetStatus().AggregatedStatus) != 1 {
			t.Errorf("what decides about the task is not kept: %v, %+v", err, trimmed.GetStatus())
		}
	})
}

// TestEvictionKeepsOverrides: what leaves is as it was until it goes.
func TestEvictionKeepsOverrides(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.setOverride(h.ctx, &policyv1alpha1.ClusterOverridePolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "all"},
			Spec: policyv1alpha1.OverrideSpec{OverrideRules: []policyv1alpha1.RuleWithCluster{{
				Overriders: policyv1alpha1.Overriders{LabelsOverrider: []policyv1alpha1.LabelAnnotationOverrider{{Operator: policyv1alpha1.OverriderOpAdd}}},
			}}},
		})
		h.member("m1")
		h.member("m2")
		h.on("m1")
		web := h.create(deployment("web", 6))
		h.settle()
		h.store.takeWrites()
		overridden := func(want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, h.store.of(web).GetSpec().Overrides[0].Clusters); diff != "" {
				t.Errorf("overridden members: -want, +got:\n%s", diff)
			}
		}
		h.on("m2")
		h.settle()
		overridden("m1", "m2")
		h.store.healthy(web, "m2")
		h.settle()
		overridden("m2")
		h.wantWrites(2, "One for the move, one for its end.")
	})
}

// weighted has a policy divide Deployments by static weights of m1, m2 and m3.
func (h *harness) weighted(weights ...int64) {
	list := make([]policyv1alpha1.StaticClusterWeight, 0, len(weights))
	for i, weight := range weights {
		list = append(list, policyv1alpha1.StaticClusterWeight{TargetCluster: named(fmt.Sprintf("m%d", i+1)), Weight: weight})
	}
	h.clusterPolicy("mine", "apps/v1", "Deployment", policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
		ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: policyv1alpha1.Weighted,
		WeightPreference: &policyv1alpha1.ClusterPreferences{StaticWeightList: list},
	}})
}

// TestPartialEviction: replicas that others are to take over leave last.
func TestPartialEviction(t *testing.T) {
	cases := map[string]struct {
		reason string
		// then happens to eight replicas on m1 and two on m2.
		then func(h *harness, web template.Key)
		want string
	}{
		"Moves": {
			reason: "Three move; they go when the others run.",
			then:   func(h *harness, _ template.Key) { h.weighted(5, 5) },
			want:   "m1=5 m2=5 !m1=3",
		},
		"Healthy": {
			reason: "All run.",
			then: func(h *harness, web template.Key) {
				h.weighted(5, 5)
				h.settle()
				h.store.healthy(web, "m1", "m2")
			},
			want: "m1=5 m2=5",
		},
		"OneHealthy": {
			reason: "The new ones are what counts.",
			then: func(h *harness, web template.Key) {
				h.weighted(5, 5)
				h.settle()
				h.store.healthy(web, "m1")
			},
			want: "m1=5 m2=5 !m1=3",
		},
		"GraceEnds": {
			reason: "It has waited long enough.",
			then:   func(h *harness, _ template.Key) { h.weighted(5, 5); h.settle(); time.Sleep(11 * time.Minute) },
			want:   "m1=5 m2=5",
		},
		"ScaledDown": {
			reason: "Fewer replicas are simply fewer.",
			then:   func(h *harness, _ template.Key) { h.create(deployment("web", 5)) },
			want:   "m1=4 m2=1",
		},
		"ScaledDownAndMoved": {
			reason: "Of those that go some are taken over.",
			then: func(h *harness, _ template.Key) {
				h.weighted(1, 1)
				h.create(deployment("web", 6))
			},
			want: "m1=3 m2=3 !m1=1",
		},
		"MovesAgain": {
			reason: "What was to leave before waits with the rest.",
			then:   func(h *harness, _ template.Key) { h.weighted(5, 5); h.settle(); h.weighted(3, 7) },
			want:   "m1=3 m2=7 !m1=5",
		},
		"MovesBack": {
			reason: "They are there still; those that were to take over were not needed.",
			then:   func(h *harness, _ template.Key) { h.weighted(5, 5); h.settle(); h.weighted(8, 2) },
			want:   "m1=8 m2=2",
		},
		"MovesBackInPart": {
			reason: "One of the three is to stay.",
			then:   func(h *harness, _ template.Key) { h.weighted(5, 5); h.settle(); h.weighted(6, 4) },
			want:   "m1=6 m2=4 !m1=2",
		},
		"MovesOn": {
			reason: "The third takes over from both.",
			then:   func(h *harness, _ template.Key) { h.weighted(5, 5); h.settle(); h.weighted(3, 3, 4) },
			want:   "m1=3 m2=3 m3=4 !m1=5 !m2=2",
		},
		"Leaves": {
			reason: "It loses all, with what was to leave before.",
			then:   func(h *harness, _ template.Key) { h.weighted(5, 5); h.settle(); h.weighted(0, 10) },
			want:   "m2=10 !m1 !m1",
		},
		"Deleted": {
			reason: "There is nothing to take over.",
			then:   func(h *harness, web template.Key) { h.weighted(5, 5); h.settle(); h.delete(web) },
			want:   "-m1 -m2",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.member("m1")
				h.member("m2")
				h.member("m3")
				h.weighted(8, 2)
				web := h.create(deployment("web", 10))
				h.settle()
				h.want(web, "m1=8 m2=2", "The start.")
				tc.then(h, web)
				h.settle()
				h.want(web, tc.want, tc.reason)
			})
		})
	}
}

// TestPartialEvictionWrites: a move in part costs two writes, the decision and the end.
func TestPartialEvictionWrites(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.weighted(8, 2)
		web := h.create(deployment("web", 10))
		h.settle()
		h.store.takeWrites()
		h.weighted(5, 5)
		h.settle()
		h.wantWrites(1, "The decision, with what is to leave.")
		h.store.healthy(web, "m1", "m2")
		h.settle()
		h.wantWrites(1, "It left.")
		time.Sleep(time.Hour)
		h.settle()
		h.wantWrites(0, "There is nothing more to do.")
	})
}

// TestStatefulSetDoesNotShrinkLate: its Pods have a name each, and one place.
func TestStatefulSetDoesNotShrinkLate(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		divided := func(weights ...int64) {
			h.weighted(weights...)
			p := h.policies.Get(policy.Ref{Name: "mine"}).DeepCopyObject().(policyv1alpha1.Propagation)
			p.GetSpec().ResourceSelectors[0].Kind = "StatefulSet"
			h.setPropagation(h.ctx, p)
		}
		divided(8, 2)
		db := h.create(statefulSet("db", 10))
		h.settle()
		divided(5, 5)
		h.settle()
		h.want(db, "m1=5 m2=5", "No Pod runs twice.")
	})
}

// TestMovesKeepWhatRuns: whatever a decision moves, and whatever was moving before, as
// many of the replicas that run go on running as were wanted before and are wanted
// now, until others took over; and no member keeps more than it has.
func TestMovesKeepWhatRuns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	inBubble(t, func(h *harness) {
		shares := func() (out []workv1alpha1.TargetCluster, total int32) {
			for _, name := range []string{"m1", "m2", "m3", "m4"} {
				if n := random.Int32N(8); n > 2 {
					out = append(out, workv1alpha1.TargetCluster{Name: name, Replicas: n})
					total += n
				}
			}
			return out, total
		}
		of := func(all []workv1alpha1.TargetCluster, name string) int32 {
			i := slices.IndexFunc(all, func(c workv1alpha1.TargetCluster) bool { return c.Name == name })
			if i < 0 {
				return 0
			}
			return all[i].Replicas
		}
		for range 20000 {
			before, was := shares()
			after, is := shares()
			if len(before) == 0 || len(after) == 0 {
				continue
			}
			var tasks []workv1alpha1.GracefulEvictionTask
			for _, cluster := range before {
				if random.IntN(3) == 0 {
					tasks = append(tasks, newTask(cluster.Name, 1+random.Int32N(4)))
				}
			}
			subject := &subject{template: &template.Template{Workload: &template.Workload{Divisible: true}}, placed: map[string]int32{}}
			for _, cluster := range before {
				subject.placed[cluster.Name] = cluster.Replicas
			}
			has := slices.Clone(tasks)
			got := append(h.shrinking(subject, after, slices.Clone(tasks)), newTasks(subject, before, after)...)
			var kept int32
			for _, name := range []string{"m1", "m2", "m3", "m4"} {
				had, has := of(before, name)+leavingOf(has, name), of(after, name)+leavingOf(got, name)
				kept += min(had, has)
				if leavingOf(got, name) > max(had-of(after, name), 0) {
					h.t.Fatalf("%s keeps more than it has: from %v with %v to %v with %v", name, before, tasks, after, got)
				}
			}
			if kept < min(was, is) {
				h.t.Fatalf("%d of %d, or %d, go on: from %v with %v to %v with %v", kept, was, is, before, tasks, after, got)
			}
		}
	})
}
