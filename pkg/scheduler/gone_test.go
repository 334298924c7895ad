// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

func TestUnjoin(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		h.member("m1", leaving)
		h.create(deployment("web", 8))
		h.settle()
		h.want(web, "m1=3 m2=5", "A member that leaves gets nothing more.")

		h.store.drop(web, "m1")
		h.settle()
		h.want(web, "m2=8 -m1", "What it had is placed elsewhere once it is dropped.")
	})
}

func TestClusterGone(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		h.unjoined("m1")
		h.settle()
		h.want(web, "m2=6 -m1", "A Cluster that does not exist any more is left.")
	})
}

func TestTemplateDeleted(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		h.store.takeWrites()
		h.delete(web)
		h.settle()
		h.want(web, "-m1 -m2", "Its members are released.")
		h.wantWrites(1, "With one write.")

		h.store.confirm(web)
		h.settle()
		h.want(web, "none", "The binding goes when all members confirmed.")
		h.wantWrites(1, "With one write.")
	})
}

func TestAbsenceIsConfirmed(t *testing.T) {
	cases := map[string]struct {
		reason string
		live   func(h *harness, web template.Key, t *template.Template)
	}{
		"StillThere": {
			reason: "A template the fleet still has is not gone.",
			live: func(h *harness, web template.Key, t *template.Template) {
				h.store.beforeWrite = func() { h.t.Error("nothing may be written") }
				h.fleet.set(web, t)
			},
		},
		"Unreachable": {
			reason: "Nothing is concluded while the fleet does not answer.",
			live: func(h *harness, _ template.Key, _ *template.Template) {
				h.fleet.liveErr = errors.New("no route to host")
			},
		},
		"NotServed": {
			reason: "A kind that is not served says nothing about an object.",
			live: func(h *harness, _ template.Key, _ *template.Template) {
				h.fleet.liveErr = source.ErrNotServed
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			two(t, func(h *harness) {
				web := h.create(deployment("web", 6))
				h.settle()
				was := h.fleet.Get(web)
				h.fleet.set(web, nil)
				decision := h.decide(h.ctx, h.lookUp(web))
				tc.live(h, web, was)
				if err := h.write(h.ctx, decision); err == nil {
					t.Errorf("\n%s\nwrite(...): want an error", tc.reason)
				}
				h.want(web, "m1=3 m2=3", tc.reason)
			})
		})
	}
}

func TestRecreated(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		again := deployment("web", 2)
		again.UID = "second"
		h.create(again)
		h.settle()
		h.want(web, "m1=1 m2=1 -m1 -m2", "The new one is placed, the old one is cleaned up.")
		if got := h.store.of(web).GetSpec().Resource.UID; got != "second" {
			t.Errorf("resource.uid: want second, got %s", got)
		}
	})
}

func TestRecreatedButHeld(t *testing.T) {
	two(t, func(h *harness) {
		config := h.create(configMap("config"))
		web := h.create(deployment("web", 6))
		h.settle()
		h.want(config, "m1 m2", "The footprint.")
		h.delete(web)
		h.settle()
		again := configMap("config")
		again.UID = "second"
		h.create(again)
		h.settle()
		h.want(config, "-m1 -m2", "What the old one left behind is cleaned up, though the new one has nowhere to go.")
	})
}

// The events about templates may get lost that go with their definition.
func TestDefinitionGone(t *testing.T) {
	kind := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	definitionKind := schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	for name, tc := range map[string]struct {
		reason string
		event  func(h *harness, definition template.Key)
	}{
		"Unserved": {
			reason: "The kind went last.",
			event: func(h *harness, _ template.Key) {
				h.fleet.unserved = map[schema.GroupKind]bool{kind.GroupKind(): true}
				h.OnUnserved(kind.GroupKind())
			},
		},
		"Deleted": {
			reason: "The definition went last.",
			event: func(h *harness, definition template.Key) {
				h.fleet.unserved = map[schema.GroupKind]bool{kind.GroupKind(): true}
				h.delete(definition)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			two(t, func(h *harness) {
				h.fleet.define(kind, "widgets", true)
				definition := h.put(definitionKind, &metav1.ObjectMeta{Name: "widgets.example.com"}, template.Traits{})
				widget := h.createCustom(kind, "shop", "widget")
				h.settle()
				h.want(widget, "m1 m2", "It is where its definition is.")
				h.fleet.set(widget, nil)
				h.settle()
				h.want(widget, "m1 m2", "Nobody told.")
				tc.event(h, definition)
				h.settle()
				h.want(widget, "-m1 -m2", tc.reason)
			})
		})
	}
}

func TestTemplateDeletedInForeground(t *testing.T) {
	deleted := func(h *harness, web template.Key, foreground bool) {
		before := h.fleet.Get(web)
		was := *before
		now := metav1.Now()
		was.DeletionTimestamp, was.Foreground = &now, foreground
		if foreground {
			was.Finalizers = []string{metav1.FinalizerDeleteDependents}
		}
		h.fleet.set(web, &was)
		h.OnTemplate(before, &was)
	}
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		h.store.takeWrites()
		deleted(h, web, true)
		h.settle()
		h.want(web, "-m1 -m2", "It leaves its members while it is there.")
		h.wantWrites(1, "With one write.")

		h.store.confirm(web)
		h.settle()
		h.want(web, "none", "The binding goes when all members confirmed, so that the template can.")
		h.wantWrites(1, "With one write.")
		h.settle()
		h.wantWrites(0, "It does not come back.")
	})
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		deleted(h, web, false)
		h.settle()
		h.want(web, "m1=3 m2=3", "What waits for something else stays until that is over.")
	})
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		live := *h.fleet.Get(web)
		live.UID = "another"
		deleted(h, web, true)
		h.fleet.live = &live.ObjectMeta
		h.store.takeWrites()
		h.settle()
		h.want(web, "m1=3 m2=3", "Another template of the name, that is there, is not taken for this one.")
		h.wantWrites(0, "Nothing is written.")
	})
}

// What is held back stays so when its template goes, and goes on when its policy says
// so, or is gone itself.
func TestSuspendedTemplateDeleted(t *testing.T) {
	suspend := func(h *harness, hold *policyv1alpha1.Suspension) *policyv1alpha1.ClusterPropagationPolicy {
		p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "hold", UID: "hold"}}
		p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment"}}
		p.Spec.Suspension = hold
		h.setPropagation(h.ctx, p)
		return p
	}
	cases := map[string]struct {
		reason string
		resume func(h *harness, p *policyv1alpha1.ClusterPropagationPolicy)
	}{
		"Resumed": {
			reason: "the policy resumes",
			resume: func(h *harness, _ *policyv1alpha1.ClusterPropagationPolicy) { suspend(h, nil) },
		},
		"PolicyDeleted": {
			reason: "nothing says any more that it is held back",
			resume: func(h *harness, p *policyv1alpha1.ClusterPropagationPolicy) { h.removePropagation(policy.RefOf(p)) },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			two(t, func(h *harness) {
				hold := suspend(h, &policyv1alpha1.Suspension{Dispatching: new(true)})
				web := h.create(deployment("web", 6))
				h.settle()
				h.delete(web)
				h.settle()
				h.want(web, "-m1 -m2", "It is to leave its members.")
				if held := h.store.of(web).GetSpec().Suspension; held == nil || !*held.Dispatching {
					t.Fatalf("it is held back there: %v", held)
				}
				h.store.takeWrites()
				tc.resume(h, hold)
				h.settle()
				if held := h.store.of(web).GetSpec().Suspension; held != nil {
					t.Errorf("%s: %v", tc.reason, held)
				}
				h.want(web, "-m1 -m2", "It leaves them.")
				h.wantWrites(1, "With one write.")
				h.settle()
				h.wantWrites(0, "Once.")
			})
		})
	}
}
