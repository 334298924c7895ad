// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// TestFinished has a member lose a Pod that ran to its end, as it does when there are
// too many or their node goes. It is not run again, neither by the syncer that saw it nor
// by the next one. One that had not finished is, and so is a new one of that name.
func TestFinished(t *testing.T) {
	t.Parallel()
	r := newIdleRig(t)
	stop := r.start()
	r.want("web", barePod)
	r.await("web", "that it is applied", applied)
	r.member.Edit(t, "Pod", "shop", "web", func(o *unstructured.Unstructured) { put(t, o, "Succeeded", "status", "phase") })
	r.await("web", "that it succeeded", func(item workv1alpha1.FeedbackItem) bool {
		return item.Status != nil && string(item.Status.Raw) == `{"phase":"Succeeded"}`
	})
	lost := func(reason string) {
		t.Helper()
		r.settle()
		if r.member.Get("Pod", "shop", "web") != nil {
			t.Errorf("the Pod was made again although %s", reason)
		}
		r.await("web", "that it succeeded", func(item workv1alpha1.FeedbackItem) bool { return item.Status != nil })
	}
	r.member.Remove(t, "Pod", "shop", "web")
	lost("it was seen to finish")

	stop()
	r.want("web", barePod, func(w *workv1alpha1.Work) { w.Spec.Finished = true })
	r.start()
	lost("the fleet knows that it finished")

	made := func(what string) {
		t.Helper()
		r.eventually(what, func() error {
			if r.member.Get("Pod", "shop", "web") == nil {
				return errors.New("there is no Pod")
			}
			return nil
		})
	}
	r.want("web", barePod, func(w *workv1alpha1.Work) { w.Spec.Template.UID = "uid-2" })
	made("the Pod of a new template is made")
	// A kubelet says of each Pod that is deleted that it ended, before it lets go of it.
	before := r.member.Get("Pod", "shop", "web").GetUID()
	r.member.Edit(t, "Pod", "shop", "web", func(o *unstructured.Unstructured) {
		o.SetDeletionTimestamp(new(metav1.Now()))
		put(t, o, "Failed", "status", "phase")
	})
	r.settle()
	r.mu.Lock()
	said := r.items["web"].Status
	r.mu.Unlock()
	if said != nil {
		t.Errorf("a Pod that is being deleted is reported to have the status %s, want none", said.Raw)
	}
	r.member.Remove(t, "Pod", "shop", "web")
	r.eventually("a Pod that did not end by itself is made again", func() error {
		if pod := r.member.Get("Pod", "shop", "web"); pod == nil || pod.GetUID() == before {
			return errors.New("there is no new Pod")
		}
		return nil
	})
}
