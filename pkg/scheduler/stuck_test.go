// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// pass lets time pass and decides what comes up meanwhile.
func (h *harness) pass(d time.Duration) {
	h.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(time.Until(end), 10*time.Second))
		synctest.Wait()
		h.store.deliver(h)
		for h.queue.Len() > 0 {
			h.scheduleOne(h.ctx)
			synctest.Wait()
			h.store.deliver(h)
		}
	}
}

func TestStuckReplicasMove(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.autoPolicy()
		h.member("m1")
		h.member("m2")
		h.pass(2 * time.Minute)
		web := h.create(deployment("web", 6))
		h.settle()
		h.want(web, "m1=3 m2=3", "Both have the same room.")
		h.wantWrites(1, "The decision.")

		since := time.Now()
		h.store.pending(web, "m2", 2, since, 0)
		h.pass(55 * time.Second)
		h.want(web, "m1=3 m2=3", "They may find a node still.")
		h.pass(10 * time.Second)
		h.want(web, "m1=5 m2=1", "They did not, and the other member has room; nothing runs that a replacement had to be waited for.")
		h.wantWrites(1, "One decision.")
		if event := <-h.events.Events; !strings.Contains(event, "2 replicas found no node in m2 for 1m0s") {
			t.Errorf("want an Event about two replicas in m2, got %q", event)
		}

		h.pass(time.Hour)
		h.want(web, "m1=5 m2=1", "The report is about the decision before.")
		h.store.pending(web, "m2", 0, since, 0)
		object := deployment("web", 9)
		h.create(object)
		h.settle()
		h.want(web, "m1=8 m2=1", "What is new does not go where nothing was found, whatever room that reports.")
		h.wantWrites(1, "One decision.")

		h.store.pending(web, "m2", 0, since, 0)
		h.member("m2", pods(200))
		object.Spec.Replicas = new(int32(12))
		h.create(object)
		h.settle()
		h.want(web, "m1=9 m2=3", "It has more room than when it was left.")
	})
}

func TestStuckReplicasStay(t *testing.T) {
	static := policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
		ReplicaSchedulingType: policyv1alpha1.Divided, ReplicaDivisionPreference: policyv1alpha1.Weighted,
	}}
	cases := map[string]struct {
		reason string
		setUp  func(h *harness) template.Key
		stuck  map[string]int32
		before int64
		want   string
	}{
		"NoRoom": {
			reason: "There is no room elsewhere.",
			setUp: func(h *harness) template.Key {
				key := h.create(deployment("web", 6))
				h.settle()
				h.member("m1", pods(0))
				return key
			},
			stuck: map[string]int32{"m2": 2},
			want:  "m1=3 m2=3",
		},
		"SomeRoom": {
			reason: "As many as fit move.",
			setUp: func(h *harness) template.Key {
				key := h.create(deployment("web", 6))
				h.settle()
				h.member("m1", pods(1))
				return key
			},
			stuck: map[string]int32{"m2": 3},
			want:  "m1=4 m2=2",
		},
		"Everywhere": {
			reason: "The others find none either.",
			setUp:  func(h *harness) template.Key { return h.create(deployment("web", 6)) },
			stuck:  map[string]int32{"m1": 1, "m2": 2},
			want:   "m1=3 m2=3",
		},
		"Stale": {
			reason: "It is about an earlier decision.",
			setUp:  func(h *harness) template.Key { return h.create(deployment("web", 6)) },
			stuck:  map[string]int32{"m2": 2},
			before: 1,
			want:   "m1=3 m2=3",
		},
		"Weights": {
			reason: "Somebody said how many each member runs.",
			setUp: func(h *harness) template.Key {
				h.clusterPolicy("mine", "apps/v1", "Deployment", static)
				return h.create(deployment("web", 6))
			},
			stuck: map[string]int32{"m2": 2},
			want:  "m1=3 m2=3",
		},
		"Autoscaled": {
			reason: "A member has more Pods than the decision says, and as many as that wait.",
			setUp: func(h *harness) template.Key {
				affinity := named("m2")
				h.clusterPolicy("scalers", "autoscaling/v2", "HorizontalPodAutoscaler", policyv1alpha1.Placement{ClusterAffinity: &affinity})
				h.create(autoscaler("web"))
				return h.create(deployment("web", 6))
			},
			stuck: map[string]int32{"m2": 3},
			want:  "m1=3 m2=3",
		},
		"AutoscaledNowhere": {
			reason: "The autoscaler stays in the fleet.",
			setUp: func(h *harness) template.Key {
				h.create(autoscaler("web"))
				return h.create(deployment("web", 6))
			},
			stuck: map[string]int32{"m2": 3},
			want:  "m1=6 -m2",
		},
		"StatefulSet": {
			reason: "Its volumes may hold data.",
			setUp:  func(h *harness) template.Key { return h.create(statefulSet("db", 2)) },
			stuck:  map[string]int32{"m1": 2},
			want:   "m1=2",
		},
		"Some": {
			reason: "What is on one member moves as a whole, and some of it runs.",
			setUp:  func(h *harness) template.Key { return h.create(single(4)) },
			stuck:  map[string]int32{"m1": 3},
			want:   "m1=4",
		},
		"All": {
			reason: "Nothing of it runs.",
			setUp:  func(h *harness) template.Key { return h.create(single(4)) },
			stuck:  map[string]int32{"m1": 4},
			want:   "m2=4 -m1",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.autoPolicy()
				h.member("m1")
				h.member("m2")
				h.pass(2 * time.Minute)
				key := tc.setUp(h)
				h.settle()
				for member, count := range tc.stuck {
					h.store.pending(key, member, count, time.Now(), tc.before)
				}
				h.store.takeWrites()
				h.pass(5 * time.Minute)
				h.want(key, tc.want, tc.reason)
				if writes := h.store.takeWrites(); writes > 1 {
					t.Errorf("\n%s\nwant at most one write, got %d", tc.reason, writes)
				}
			})
		})
	}
}

// TestFreedCapacityTakesStuckReplicas: replicas that wait for want of room anywhere
// move when there is some.
func TestFreedCapacityTakesStuckReplicas(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.autoPolicy()
		h.member("m1", pods(0))
		h.member("m2")
		h.pass(2 * time.Minute)
		web := h.create(deployment("web", 4))
		h.settle()
		h.want(web, "m2=4", "There is room in one.")
		h.store.pending(web, "m2", 3, time.Now(), 0)
		h.pass(time.Hour)
		h.want(web, "m2=4", "There is none in the other.")
		h.member("m1", pods(2))
		h.pass(time.Minute)
		h.want(web, "m1=2 m2=2", "There is some.")
	})
}

// crowd is members whose reports of room need not be true, for one Deployment.
type crowd struct {
	fits  map[string]int32 // how many Pods find a node in truth
	since map[string]time.Time
	last  map[string]int32
}

// step has the members report what became of the last decision.
func (c *crowd) step(h *harness, key template.Key) {
	binding := h.store.of(key)
	for _, cluster := range binding.GetSpec().Clusters {
		waiting := max(cluster.Replicas-c.fits[cluster.Name], 0)
		if waiting != c.last[cluster.Name] {
			c.last[cluster.Name], c.since[cluster.Name] = waiting, time.Now()
		}
		h.store.pending(key, cluster.Name, waiting, c.since[cluster.Name], 0)
	}
}

// moves lets days pass and returns how often the members of the Deployment changed.
func (c *crowd) moves(h *harness, key template.Key, days int, each func()) (moves int) {
	h.t.Helper()
	before := h.clustersOf(key)
	for end := time.Now().Add(time.Duration(days) * 24 * time.Hour); time.Now().Before(end); {
		each()
		c.step(h, key)
		h.store.deliver(h)
		h.pass(time.Minute)
		if now := h.clustersOf(key); now != before {
			before = now
			moves++
		}
	}
	return moves
}

func newCrowd(fits map[string]int32) *crowd {
	return &crowd{fits: fits, since: map[string]time.Time{}, last: map[string]int32{}}
}

// TestNeverFlaps simulates a week of members that are wrong about their room.
func TestNeverFlaps(t *testing.T) {
	cases := map[string]struct {
		reason string
		fits   map[string]int32
		each   func(h *harness, random *rand.Rand)
		most   int
		want   string
	}{
		"AllWrong": {
			reason: "Each member is left once, then there is nowhere to go.",
			fits:   map[string]int32{"m1": 1, "m2": 4, "m3": 5},
			most:   3,
		},
		"OneRight": {
			reason: "All find their place and stay.",
			fits:   map[string]int32{"m1": 0, "m2": 0, "m3": 100},
			most:   3,
			want:   "m3=12",
		},
		"Unsteady": {
			reason: "Room that comes and goes is tried ever more rarely.",
			fits:   map[string]int32{"m1": 1, "m2": 4, "m3": 4},
			each: func(h *harness, random *rand.Rand) {
				if random.IntN(10) > 0 {
					return
				}
				for _, name := range []string{"m1", "m2", "m3"} {
					h.member(name, pods(int64(random.IntN(200))))
				}
			},
			most: 24,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.events.Events = nil // nobody reads so many
				random := rand.New(rand.NewPCG(1, 2))
				h.autoPolicy()
				for _, member := range []string{"m1", "m2", "m3"} {
					h.member(member)
				}
				web := h.create(deployment("web", 12))
				h.settle()
				moves := newCrowd(tc.fits).moves(h, web, 7, func() {
					if tc.each != nil {
						tc.each(h, random)
					}
				})
				t.Logf("%d moves, in the end %s", moves, h.clustersOf(web))
				if moves == 0 || moves > tc.most {
					t.Errorf("\n%s\nwant 1 to %d moves in a week, got %d", tc.reason, tc.most, moves)
				}
				if binding := h.store.of(web); sum(binding.GetSpec().Clusters) != 12 {
					t.Errorf("want 12 replicas, got %s", h.clustersOf(web))
				}
				if got := h.clustersOf(web); tc.want != "" && !strings.HasPrefix(got, tc.want) {
					t.Errorf("\n%s\nwant %s, got %s", tc.reason, tc.want, got)
				}
			})
		})
	}
}

func sum(clusters []workv1alpha1.TargetCluster) (n int32) {
	for _, cluster := range clusters {
		n += cluster.Replicas
	}
	return n
}

// single is a Deployment that goes to one member.
func single(replicas int32) *appsv1.Deployment {
	object := deployment("web", replicas)
	object.Annotations = map[string]string{wellknown.AnnotationPlacement: wellknown.PlacementSingle}
	return object
}

// TestStaticWeightsStayGraceful: replicas that find no node and stay, since somebody
// said how many each member runs, are no reason to take others away at once.
func TestStaticWeightsStayGraceful(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.pass(2 * time.Minute)
		h.weighted(8, 2)
		web := h.create(deployment("web", 10))
		h.settle()
		h.store.pending(web, "m1", 8, time.Now(), 0)
		h.pass(2 * time.Minute)
		h.want(web, "m1=8 m2=2", "Somebody said so.")
		h.weighted(0, 10)
		h.settle()
		h.want(web, "m2=10 !m1", "The others are waited for.")
		if left := len(h.events.Events); left > 0 {
			t.Errorf("want no Event about replicas that moved for want of a node, got %s", <-h.events.Events)
		}
	})
}

// TestReliefIsRemembered: a template that memory does not hold for a moment has left
// members all the same.
func TestReliefIsRemembered(t *testing.T) {
	cases := map[string]struct {
		reason string
		err    error
		want   bool
	}{
		"Unlisted":   {reason: "Its kind is being listed anew.", want: true},
		"Unanswered": {reason: "The fleet does not say that it is gone.", err: errors.New("no route to host"), want: true},
		"Gone":       {reason: "The fleet says that it is gone."},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.autoPolicy()
				h.member("m1")
				h.member("m2")
				web := h.create(deployment("web", 6))
				h.settle()
				h.relief.Moved(web, map[string]int32{"m2": 3}, h.clock.Now())
				before := h.fleet.Get(web)
				if name == "Unlisted" {
					h.fleet.unlisted = map[schema.GroupKind]bool{web.GroupKind(): true}
				}
				h.fleet.liveErr = tc.err
				h.fleet.set(web, nil)
				h.OnTemplate(before, nil)
				h.scheduleOne(h.ctx)
				synctest.Wait()
				if got := h.relief.Knows(web, h.clock.Now()); got != tc.want {
					t.Errorf("\n%s\nKnows(...): want %v, got %v", tc.reason, tc.want, got)
				}
			})
		})
	}
}

// autoscaler scales a Deployment.
func autoscaler(name string) *autoscalingv2.HorizontalPodAutoscaler {
	object := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	object.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name}
	return object
}
