// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/feedback"
)

// recorder keeps Events.
type recorder struct {
	mu     sync.Mutex
	events []string
}

// Event implements feedback.EventRecorder.
func (r *recorder) Event(object runtime.Object, eventType, reason, message string) {
	about, ok := object.(*corev1.ObjectReference)
	if !ok {
		about = &corev1.ObjectReference{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf("%s %s/%s %s: %s %s: %s", about.Kind, about.Namespace, about.Name, about.UID, eventType, reason, message))
}

// take returns the Events since the last call.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// refusing is a report of a member that does not take the work.
func refusing(reason, message string) workv1alpha1.FeedbackItem {
	item := ready(0)
	item.Applied, item.AppliedReason, item.AppliedMessage = false, reason, message
	return item
}

// TestRefusalsAreTold: a user hears of each refusal once, in the member's words.
func TestRefusalsAreTold(t *testing.T) {
	const denied = `admission webhook "policy.example.com" denied the request: no latest tags`
	type said map[string]workv1alpha1.FeedbackItem
	pruned := ready(2)
	pruned.AppliedReason, pruned.AppliedMessage = workv1alpha1.AppliedReasonPruned, "the member does not know .spec.x"
	again := ready(1)
	again.AppliedReason, again.AppliedMessage = pruned.AppliedReason, pruned.AppliedMessage
	recreated := ready(2)
	recreated.AppliedReason, recreated.AppliedMessage = workv1alpha1.AppliedReasonRecreated, "created anew"
	withStatus := refusing(workv1alpha1.AppliedReasonDenied, denied)
	withStatus.Status = ready(2).Status
	const unreached = "failed calling webhook: read tcp 10.0.0.1:%d: i/o timeout"
	failing := func(port int, content string) workv1alpha1.FeedbackItem {
		item := refusing(workv1alpha1.AppliedReasonFailed, fmt.Sprintf(unreached, port))
		item.ContentHash = content
		return item
	}
	const event = "Deployment ns/web u1: Warning "
	steps := []struct {
		reason string
		said   said
		want   []string
	}{
		{"what is applied is not news", said{"a": ready(2), "b": ready(2)}, nil},
		{"a refusal is", said{"a": refusing(workv1alpha1.AppliedReasonDenied, denied)}, []string{event + `Denied: member "a": ` + denied}},
		{"the same is not", said{"a": refusing(workv1alpha1.AppliedReasonDenied, denied)}, nil},
		{"nor the same beside another status", said{"a": withStatus}, nil},
		{"another reason is", said{"a": refusing(workv1alpha1.AppliedReasonInvalid, "spec: x")}, []string{event + `Invalid: member "a": spec: x`}},
		{"and the first, when it comes back", said{"a": refusing(workv1alpha1.AppliedReasonDenied, denied)}, []string{event + `Denied: member "a": ` + denied}},
		{"what is held back is what was asked for", said{"a": refusing(workv1alpha1.AppliedReasonSuspended, "")}, nil},
		{"members that say the same are told of together", said{"a": refusing(workv1alpha1.AppliedReasonDenied, denied), "b": refusing(workv1alpha1.AppliedReasonDenied, denied)}, []string{event + `Denied: members a, b: ` + denied}},
		{"the first of many tries is told", said{"a": failing(53422, "1")}, []string{event + `AppliedFailed: member "a": ` + fmt.Sprintf(unreached, 53422)}},
		{"another port is no news", said{"a": failing(9, "1")}, nil},
		{"nor one after that", said{"a": failing(60100, "1")}, nil},
		{"but what became of something else is", said{"a": failing(60101, "2")}, []string{event + `AppliedFailed: member "a": ` + fmt.Sprintf(unreached, 60101)}},
		{"unless it is the same, word for word", said{"a": failing(60101, "3")}, nil},
		{"what is left out is told", said{"a": pruned, "b": ready(2)}, []string{event + `Pruned: member "a": the member does not know .spec.x`}},
		{"once", said{"a": again}, nil},
		{"what was recreated is told", said{"a": recreated}, []string{event + `Recreated: member "a": created anew`}},
		{"once", said{"a": recreated}, nil},
	}
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a", "b"))
		store.putTemplate(deploymentOf(4))
		events := &recorder{}
		intake, stop := run(t, &server{etcd: store}, func(o *feedback.Options) { o.Events = events })
		defer stop()
		for _, step := range steps {
			var calls sync.WaitGroup
			for member, item := range step.said {
				calls.Go(func() {
					if results, err := intake.Accept(t.Context(), member, []workv1alpha1.FeedbackItem{item}); err != nil || !results[0].Accepted {
						t.Errorf("%s: Accept() = %v, %v", step.reason, results, err)
					}
				})
			}
			calls.Wait()
			synctest.Wait()
			if diff := cmp.Diff(step.want, events.take()); diff != "" {
				t.Errorf("%s: Events: -want +got:\n%s", step.reason, diff)
			}
		}
	})
}

// TestUndeletableIsTold: that a member does not let an object be deleted is told, that it
// takes its time is not.
func TestUndeletableIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		binding := bindingOf()
		binding.Spec.Tombstones = []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u1"}}
		store.putBinding(binding)
		events := &recorder{}
		intake, stop := run(t, &server{etcd: store}, func(o *feedback.Options) { o.Events = events })
		defer stop()
		lingering := func(reason, message string) workv1alpha1.FeedbackItem {
			return workv1alpha1.FeedbackItem{Name: web.Name, TemplateUID: "u1", AppliedReason: reason, AppliedMessage: message}
		}
		for _, item := range []workv1alpha1.FeedbackItem{
			lingering(workv1alpha1.AppliedReasonFailed, "it waits for a finalizer"),
			lingering(workv1alpha1.AppliedReasonDenied, "a webhook says no"),
			lingering(workv1alpha1.AppliedReasonDenied, "a webhook says no"),
		} {
			if results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{item}); err != nil || !results[0].Accepted {
				t.Errorf("Accept() = %v, %v", results, err)
			}
		}
		synctest.Wait()
		want := []string{`Deployment ns/web u1: Warning Denied: member "a": cannot be deleted: a webhook says no`}
		if diff := cmp.Diff(want, events.take()); diff != "" {
			t.Errorf("Events: -want +got:\n%s", diff)
		}
	})
}
