// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/scheduler/template"
)

// terminating is a template that is being deleted and waits for the finalizers.
func terminating(t *template.Template, finalizers ...string) *template.Template {
	meta := t.ObjectMeta
	meta.DeletionTimestamp = ptr.To(metav1.Now())
	meta.Finalizers = finalizers
	return template.New(t.Kind, &meta, template.Traits{NamedOnly: t.NamedOnly, Workload: t.Workload})
}

// update changes a template as the informer does.
func (h *harness) update(after *template.Template) {
	before := h.fleet.Get(after.Key())
	h.fleet.set(after.Key(), after)
	h.OnTemplate(before, after)
}

func TestOrphaned(t *testing.T) {
	const orphan = metav1.FinalizerOrphanDependents
	recreate := func(h *harness) {
		again := deployment("web", 2)
		again.UID = "second"
		h.create(again)
	}
	cases := map[string]struct {
		reason string
		change func(h *harness, web *template.Template)
		want   string
	}{
		"BeingDeleted": {
			reason: "What the template says is recorded while it says it.",
			change: func(h *harness, web *template.Template) { h.update(terminating(web, orphan)) },
			want:   "~m1 ~m2",
		},
		"BeingDeletedAndHeld": {
			reason: "Without the finalizer, members keep their objects until the template is gone.",
			change: func(h *harness, web *template.Template) { h.update(terminating(web, "x")) },
			want:   "m1=3 m2=3",
		},
		"FinalizerGone": {
			reason: "The finalizer goes before a decision was made, another one still holds the template.",
			change: func(h *harness, web *template.Template) {
				h.update(terminating(web, orphan, "x"))
				h.update(terminating(web, "x"))
			},
			want: "~m1 ~m2",
		},
		"Gone": {
			reason: "The template is gone before a decision was made.",
			change: func(h *harness, web *template.Template) { h.deleteAs(terminating(web, orphan)) },
			want:   "~m1 ~m2",
		},
		"GoneWithoutOrphan": {
			reason: "Another finalizer says nothing about members.",
			change: func(h *harness, web *template.Template) { h.deleteAs(terminating(web, "x")) },
			want:   "-m1 -m2",
		},
		"GoneAndWriteFails": {
			reason: "It is remembered until it is written.",
			change: func(h *harness, web *template.Template) {
				h.store.fail = errStale
				h.deleteAs(terminating(web, orphan))
			},
			want: "~m1 ~m2",
		},
		"GoneWhileMoved": {
			reason: "It counts for the members the template has when it is written.",
			change: func(h *harness, web *template.Template) {
				h.store.beforeWrite = func() { h.store.drop(web.Key(), "m1") }
				h.deleteAs(terminating(web, orphan))
			},
			want: "-m1 ~m2",
		},
		"Recreated": {
			reason: "The name is taken again before a decision was made.",
			change: func(h *harness, web *template.Template) {
				h.deleteAs(terminating(web, orphan))
				recreate(h)
			},
			want: "m1=1 m2=1 ~m1 ~m2",
		},
		"RecreatedAndHeld": {
			reason: "The new template goes nowhere; the old one is left as was asked.",
			change: func(h *harness, web *template.Template) {
				h.deleteAs(terminating(web, orphan))
				recreate(h)
				h.update(terminating(h.fleet.Get(web.Key()), "x"))
			},
			want: "~m1 ~m2",
		},
		"AnotherIsOrphaned": {
			reason: "What the deletion of one template asks for is nothing to an earlier one of the name.",
			change: func(h *harness, web *template.Template) {
				h.deleteAs(web)
				recreate(h)
				h.update(terminating(h.fleet.Get(web.Key()), orphan))
			},
			want: "-m1 -m2",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			two(t, func(h *harness) {
				web := h.create(deployment("web", 6))
				h.settle()
				tc.change(h, h.fleet.Get(web))
				h.settle()
				h.want(web, tc.want, tc.reason)
				if len(h.orphans.uids) > 0 {
					t.Errorf("\n%s\nnothing is to be remembered once it is written, got %v", tc.reason, h.orphans.uids)
				}
			})
		})
	}
}

func TestOrphanedIsRecordedOnce(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		h.store.takeWrites()
		last := terminating(h.fleet.Get(web), metav1.FinalizerOrphanDependents)
		h.update(last)
		h.settle()
		h.wantWrites(1, "The members are released in one write, while the template exists.")

		h.deleteAs(last)
		h.settle()
		h.want(web, "~m1 ~m2", "Its end changes nothing.")
		h.wantWrites(0, "It is written already.")

		h.store.confirm(web)
		h.settle()
		h.want(web, "none", "The binding goes when all members confirmed.")
		if len(h.orphans.uids) > 0 {
			t.Errorf("nothing is to be remembered once it is written, got %v", h.orphans.uids)
		}
	})
}

// The informer's store loses a template before the handler hears of it; a decision
// in between knows that it is gone, not how it was deleted.
func TestOrphanedIsLearntLate(t *testing.T) {
	two(t, func(h *harness) {
		web := h.create(deployment("web", 6))
		h.settle()
		last := terminating(h.fleet.Get(web), metav1.FinalizerOrphanDependents)
		h.fleet.set(web, nil)
		decision := h.decide(h.ctx, h.lookUp(web))
		h.OnTemplate(last, nil)
		if err := h.write(h.ctx, decision); err == nil {
			t.Error("write(...): want an error, the decision would delete what is to stay")
		}
		h.settle()
		h.want(web, "~m1 ~m2", "It is decided again.")
	})
}
