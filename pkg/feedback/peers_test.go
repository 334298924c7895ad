// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/feedback"
)

func peers(o *feedback.Options) { o.Peers = true }

// TestStaleCache has a cache that never catches up: no report may be taken for
// nothing new because of it.
func TestStaleCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf())
		store.editBinding(web, func(b *workv1alpha1.ResourceBinding) {
			b.Spec.Clusters, b.Spec.Replicas = bindingOf("a").Spec.Clusters, 2
		})
		store.putTemplate(deploymentOf(2))
		intake, stop := run(t, &server{etcd: store, lag: 1})
		defer stop()
		for _, n := range []int{2, 0, 2, 0} {
			results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(n)})
			if err != nil || !results[0].Accepted {
				t.Fatalf("the member is in the binding: got %v, %v", results, err)
			}
			synctest.Wait()
			if got := readyReplicas(store.template("web")); got != int64(n) {
				t.Errorf("the template has what was reported last: got %d, want %d", got, n)
			}
		}
	})
}

// TestStaleCacheRefuses has a cache that agrees with itself, so that no conflict
// tells that it is behind.
func TestStaleCacheRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf())
		store.putTemplate(deploymentOf(2))
		upToDate, stop := run(t, &server{etcd: store})
		defer stop()
		upToDate.Resync(web)
		time.Sleep(2 * time.Second)
		store.editBinding(web, func(b *workv1alpha1.ResourceBinding) {
			b.Spec.Clusters, b.Spec.Replicas = bindingOf("a").Spec.Clusters, 2
		})
		behind, stopBehind := run(t, &server{etcd: store, lag: 1})
		defer stopBehind()
		results, err := behind.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)})
		if diff := cmp.Diff([]string{"Accepted"}, reasons(results)); err != nil || diff != "" {
			t.Errorf("the member is in the binding, error %v, -want +got:\n%s", err, diff)
		}
	})
}

// TestMemberMoves has a member report to another server, whose cache has what the
// member reported before last.
func TestMemberMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a"))
		store.putTemplate(deploymentOf(2))
		first, stopFirst := run(t, &server{etcd: store}, peers)
		defer stopFirst()
		second, stopSecond := run(t, &server{etcd: store, lag: 1}, peers)
		defer stopSecond()
		for _, step := range []struct {
			intake *feedback.Intake
			ready  int
		}{{first, 0}, {first, 2}, {second, 0}} {
			if results, err := step.intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(step.ready)}); err != nil || !results[0].Accepted {
				t.Fatalf("got %v, %v", results, err)
			}
			synctest.Wait()
			if got := readyReplicas(store.template("web")); got != int64(step.ready) {
				t.Errorf("the last report counts: got %d ready replicas, want %d", got, step.ready)
			}
		}
	})
}

// TestTwoServers has two servers with lagging caches take reports of different
// members, in random interleavings. In the end both are in the binding, and the
// template's status is that of both.
func TestTwoServers(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { twoServers(t, seed) })
		})
	}
}

func twoServers(t *testing.T, seed uint64) {
	t.Helper()
	store := newEtcd()
	store.putBinding(bindingOf("a", "b"))
	store.putTemplate(deploymentOf(4))
	var calls sync.WaitGroup
	for n, member := range []string{"a", "b"} {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		intake, stop := run(t, &server{etcd: store, lag: random.IntN(3), delay: 300 * time.Millisecond, random: random}, peers)
		defer stop()
		calls.Go(func() {
			for _, n := range []int{0, 1, 0, 2, 1, 2} {
				for { // as a syncer does
					results, err := intake.Accept(t.Context(), member, []workv1alpha1.FeedbackItem{ready(n)})
					if err != nil {
						t.Errorf("got error %v", err)
						return
					}
					if results[0].Accepted {
						break
					}
				}
			}
		})
	}
	calls.Wait()
	time.Sleep(10 * time.Second)
	if got := len(store.binding(web).Status.AggregatedStatus); got != 2 {
		t.Errorf("both members are in the binding: got %d", got)
	}
	if got := readyReplicas(store.template("web")); got != 4 {
		t.Errorf("the template has the last report of both: got %d ready replicas", got)
	}
}
