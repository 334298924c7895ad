// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/scheduler/template"
)

// belongings are a Deployment and what its Pods need, over one more.
func (h *harness) belongings() (web template.Key) {
	h.create(configMap("config"))
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "robot"}}
	account.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "pull"}}
	h.create(account)
	h.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pull"}})
	object := needing("web", "config")
	object.Spec.Template.Spec.ServiceAccountName = "robot"
	return h.create(object)
}

func TestNeededGoesAhead(t *testing.T) {
	cases := map[string]struct {
		reason string
		policy func(h *harness)
	}{
		"Auto":          {reason: "It follows the footprint.", policy: func(h *harness) { h.autoPolicy() }},
		"PropagateDeps": {reason: "It is sent along.", policy: func(h *harness) { h.withDeps(true, "m1") }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.member("m1")
				tc.policy(h)
				// Others wait too, and are not so urgent.
				for n := range 20 {
					h.create(deployment(fmt.Sprintf("other-%d", n), 1))
				}
				h.belongings()
				h.settle()
				order := h.store.created
				last := 0
				for _, kind := range []string{"ConfigMap", "ServiceAccount", "Secret"} {
					i := slices.Index(order, kind)
					if i < 0 {
						t.Fatalf("%s: want all of it placed, got %s", tc.reason, order)
					}
					last = max(last, i)
				}
				if after := order[last+1:]; !slices.Equal(after, []string{"Deployment"}) {
					t.Errorf("%s: want the Deployment right after what it needs, and then nothing, got %s", tc.reason, order)
				}
			})
		})
	}
}

// TestNothingIsAwaitedForEver: what goes ahead may fail.
func TestNothingIsAwaitedForEver(t *testing.T) {
	cases := map[string]struct {
		reason string
		setUp  func(h *harness)
		within time.Duration
	}{
		"Fails": {
			reason: "What could not be written is tried again, the workload does not wait for that.",
			setUp:  func(h *harness) { h.store.fail = errors.New("no route to host") },
			within: time.Second,
		},
		"Missing": {
			reason: "What does not exist is not waited for.",
			setUp:  func(h *harness) { h.fleet.set(template.Key{Kind: "ConfigMap", Namespace: "shop", Name: "config"}, nil) },
			within: time.Second,
		},
		"Circle": {
			reason: "Two that need each other do not wait for ever.",
			setUp: func(h *harness) {
				for name, needs := range map[string]string{"a": "b", "b": "a"} {
					object := deployment(name, 1)
					key := template.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: needs}
					h.put(appsv1.SchemeGroupVersion.WithKind("Deployment"), object, template.Traits{
						Workload: &template.Workload{Pods: 1, Replicated: true, Divisible: true}, Links: &template.Links{Needs: []template.Key{key}},
					})
				}
			},
			within: aheadAtMost + time.Second,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.member("m1")
				h.withDeps(true, "m1")
				web := h.belongings()
				tc.setUp(h)
				start := time.Now()
				for h.clustersOf(web) == "none" && time.Since(start) < time.Minute {
					for h.queue.Len() > 0 {
						h.scheduleOne(h.ctx)
						synctest.Wait()
						h.store.deliver(h)
					}
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
				}
				if took := time.Since(start); took > tc.within {
					t.Errorf("%s: want it placed within %s, took %s", tc.reason, tc.within, took)
				}
				h.settle()
				h.want(web, "m1", tc.reason)
				if left := len(h.ahead.awaited) + len(h.ahead.begun) + len(h.ahead.intents); left > 0 {
					t.Errorf("%s: want nothing left that is awaited, got %+v", tc.reason, h.ahead)
				}
			})
		})
	}
}

// TestIntentCountsForOthers: what is needed stays in the old member while the
// workload leaves it, also when it is decided about before that is written.
func TestIntentCountsForOthers(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.withDeps(true, "m1")
		web := h.belongings()
		h.settle()
		h.store.healthy(web, "m1")
		h.settle()
		config := template.Key{Kind: "ConfigMap", Namespace: "shop", Name: "config"}
		h.want(config, "+m1", "It is where the workload is.")
		h.store.takeWrites()
		h.withDeps(true, "m2")
		h.settle()
		h.want(config, "+m1 +m2", "The old copy runs still.")
		h.wantWrites(4, "One for each, of the workload last.")
	})
}
