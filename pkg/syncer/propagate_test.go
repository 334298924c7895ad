// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member/fake"
)

const settings = `{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop}, data: {greeting: hello}}`

func withData(key, value string) string {
	return strings.Replace(settings, "greeting: hello", key+": "+value, 1)
}

func dataOf(object *unstructured.Unstructured) map[string]string {
	if object == nil {
		return nil
	}
	data, _, _ := unstructured.NestedStringMap(object.Object, "data")
	return data
}

func (r *rig) settingsAre(want map[string]string) {
	r.Helper()
	r.eventually("the settings in the member", func() error {
		if diff := cmp.Diff(want, dataOf(r.member.Get("ConfigMap", "shop", "settings"))); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

func TestPropagateCreates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	item := r.await("settings", "applied", applied)
	if item.AppliedReason != workv1alpha1.AppliedReasonSuccess || item.TemplateUID != "uid-1" || item.TemplateGeneration != 1 || item.MemberGeneration != 1 {
		t.Errorf("report: %+v, want success for generation 1 of template and object", item)
	}
	// One of the namespaces read is kube-system, by which a member is recognized.
	want := map[string]int{"get namespaces": 2, "create namespaces": 1, "apply configmaps": 1}
	got := r.member.Requests()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests to create one object: -want +got:\n%s", diff)
	}
	namespace := r.member.Get("Namespace", "", "shop")
	if namespace.GetLabels()[wellknown.LabelManagedBy] != testFleet || namespace.GetAnnotations()[wellknown.AnnotationCreatedNamespace] != "true" {
		t.Errorf("the namespace the fleet created is not marked: %v", namespace.Object["metadata"])
	}

	r.countAnew()
	r.want("other", strings.Replace(settings, "name: settings", "name: other", 1))
	r.await("other", "applied", applied)
	if diff := cmp.Diff(map[string]int{"apply configmaps": 1}, r.member.Requests()); diff != "" {
		t.Errorf("requests to create a second object: -want +got:\n%s", diff)
	}
}

// TestPropagateFindsTaken has works of objects that somebody made in the member: to
// create them at once must not touch them.
func TestPropagateFindsTaken(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason   string
		there    string
		with     func(*workv1alpha1.Work)
		want     map[string]int
		applied  bool
		contents map[string]string
	}{
		"Different": {
			reason:   "an object that differs is reported, and left as it is",
			there:    "{greeting: moin}",
			with:     func(*workv1alpha1.Work) {},
			want:     map[string]int{"apply configmaps": 1, "get configmaps": 1},
			contents: map[string]string{"greeting": "moin"},
		},
		"More": {
			reason:   "fields that nobody has are not added to what is refused",
			there:    "{}",
			with:     func(w *workv1alpha1.Work) { w.Spec.ConflictResolution = policyv1alpha1.ConflictAbort },
			want:     map[string]int{"apply configmaps": 1, "get configmaps": 1},
			contents: map[string]string{},
		},
		"Same": {
			reason:   "one that is as it should be is adopted",
			there:    "{greeting: hello}",
			with:     func(*workv1alpha1.Work) {},
			want:     map[string]int{"apply configmaps": 2, "get configmaps": 1},
			applied:  true,
			contents: map[string]string{"greeting": "hello"},
		},
		"Overwritten": {
			reason:   "one that the user gave away becomes what the work says",
			there:    "{greeting: moin}",
			with:     func(w *workv1alpha1.Work) { w.Spec.ConflictResolution = policyv1alpha1.ConflictOverwrite },
			want:     map[string]int{"apply configmaps": 2, "get configmaps": 1},
			applied:  true,
			contents: map[string]string{"greeting": "hello"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.member.Put(t, fake.Manifest(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}"))
			r.member.Put(t, fake.Manifest(t, strings.Replace(settings, "{greeting: hello}", tc.there, 1)))
			// The kind is mirrored from the first work of it on.
			r.want("other", strings.Replace(settings, "name: settings", "name: other", 1))
			r.await("other", "applied", applied)
			r.countAnew()

			r.want("settings", settings, tc.with)
			r.await("settings", "reported", func(i workv1alpha1.FeedbackItem) bool { return i.Applied == tc.applied })
			if diff := cmp.Diff(tc.want, r.member.Requests()); diff != "" {
				t.Errorf("%s\nrequests: -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.contents, dataOf(r.member.Get("ConfigMap", "shop", "settings"))); diff != "" {
				t.Errorf("%s\nobject: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPropagateNoop(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.want("web", webDeployment)
	r.await("settings", "applied", applied)
	r.await("web", "applied", applied)

	t.Run("Again", func(t *testing.T) {
		r.countAnew()
		r.want("settings", settings, func(w *workv1alpha1.Work) { w.Spec.Binding.Generation = 2 })
		r.await("settings", "the new generation of the binding", func(i workv1alpha1.FeedbackItem) bool { return i.BindingGeneration == 2 })
		if got := r.member.Requests(); len(got) != 0 {
			t.Errorf("the same work again costs requests: %v", got)
		}
	})
	t.Run("Status", func(t *testing.T) {
		r.countAnew()
		r.member.Edit(t, "Deployment", "shop", "web", func(o *unstructured.Unstructured) {
			put(t, o, map[string]any{"observedGeneration": int64(1), "readyReplicas": int64(2)}, "status")
		})
		item := r.await("web", "its status", func(i workv1alpha1.FeedbackItem) bool { return i.Status != nil })
		if item.TemplateGeneration != 1 || !strings.Contains(string(item.Status.Raw), `"readyReplicas":2`) {
			t.Errorf("report: %+v, status %s, want the member's status and generation 1", item, item.Status.Raw)
		}
		if got := r.member.Requests(); len(got) != 0 {
			t.Errorf("a change of the status costs requests: %v", got)
		}
	})
	t.Run("Foreign", func(t *testing.T) {
		r.countAnew()
		r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { put(t, o, "mine", "data", "extra") })
		r.settingsAre(map[string]string{"greeting": "hello", "extra": "mine"})
		r.settle()
		if got := r.member.Requests(); len(got) != 0 {
			t.Errorf("somebody else's field costs requests: %v", got)
		}
	})
	t.Run("Restart", func(t *testing.T) {
		r.countAnew()
		r.mu.Lock()
		clear(r.items)
		r.mu.Unlock()
		stop := r.start()
		defer stop()
		r.await("settings", "applied, after the restart", applied)
		r.await("web", "applied, after the restart", applied)
		if got := r.member.Writes(); got != 0 {
			t.Errorf("a restart costs %d writes to the member: %v", got, r.member.Requests())
		}
	})
}

func TestPropagateUpdates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.countAnew()
	r.want("settings", withData("farewell", "bye"), func(w *workv1alpha1.Work) { w.Spec.ContentHash = "2" })
	r.await("settings", "the new content", func(i workv1alpha1.FeedbackItem) bool { return i.ContentHash == "2" && i.Applied })
	if diff := cmp.Diff(map[string]string{"farewell": "bye"}, dataOf(r.member.Get("ConfigMap", "shop", "settings"))); diff != "" {
		t.Errorf("what is no longer desired stays: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"apply configmaps": 1}, r.member.Requests()); diff != "" {
		t.Errorf("requests to update one object: -want +got:\n%s", diff)
	}
}

func TestPropagateCorrectsDrift(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		drift  func(*testing.T, *fake.Member)
		// lookups are the reads a correction may cost.
		want map[string]int
	}{
		"Changed": {
			reason: "a field of ours is put right",
			drift: func(t *testing.T, m *fake.Member) {
				t.Helper()
				m.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { put(t, o, "evil", "data", "greeting") })
			},
			want: map[string]int{"apply configmaps": 1},
		},
		"Removed": {
			reason: "a field of ours comes back",
			drift: func(t *testing.T, m *fake.Member) {
				t.Helper()
				m.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { unstructured.RemoveNestedField(o.Object, "data") })
			},
			want: map[string]int{"apply configmaps": 1},
		},
		"Deleted": {
			reason: "the object comes back",
			drift: func(t *testing.T, m *fake.Member) {
				t.Helper()
				m.Remove(t, "ConfigMap", "shop", "settings")
			},
			want: map[string]int{"get configmaps": 1, "apply configmaps": 1},
		},
		"Unmarked": {
			reason: "the object is not lost with its label: nothing else differs, so it is adopted again",
			drift: func(t *testing.T, m *fake.Member) {
				t.Helper()
				m.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { o.SetLabels(nil) })
			},
			want: map[string]int{"get configmaps": 1, "apply configmaps": 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.want("settings", settings)
			r.await("settings", "applied", applied)
			r.countAnew()
			tc.drift(t, r.member)
			r.eventually("the drift to be corrected", func() error {
				object := r.member.Get("ConfigMap", "shop", "settings")
				if dataOf(object)["greeting"] != "hello" || object.GetLabels()[wellknown.LabelManagedBy] != testFleet {
					return fmt.Errorf("it is %v", object)
				}
				return nil
			})
			r.eventually("the requests", func() error {
				if diff := cmp.Diff(tc.want, r.member.Requests()); diff != "" {
					return fmt.Errorf("%s: requests to correct it: -want +got:\n%s", tc.reason, diff)
				}
				return nil
			})
		})
	}
}

// A member that keeps another value than the one it was sent is not sent it
// again and again.
func TestPropagateAcceptsNormalized(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.member.Normalize(func(o *unstructured.Unstructured) {
		if greeting, ok, _ := unstructured.NestedString(o.Object, "data", "greeting"); ok {
			put(t, o, strings.ToUpper(greeting), "data", "greeting")
		}
	})
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.countAnew()
	for range 3 {
		r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) {
			put(t, o, o.GetResourceVersion(), "metadata", "annotations", "example.com/touched")
		})
		r.settle()
		if got := r.member.Writes(); got != 0 {
			t.Fatalf("writes after the member changed what is not ours: %v", r.member.Requests())
		}
	}
	r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) { put(t, o, "evil", "data", "greeting") })
	r.settingsAre(map[string]string{"greeting": "HELLO"})
	r.countAnew()
	r.member.Edit(t, "ConfigMap", "shop", "settings", func(o *unstructured.Unstructured) {
		put(t, o, "again", "metadata", "annotations", "example.com/touched")
	})
	r.settle()
	if got := r.member.Writes(); got != 0 {
		t.Errorf("writes after drift was put right: %v", r.member.Requests())
	}
}

func TestPropagateAdopts(t *testing.T) {
	t.Parallel()
	existing := func(t *testing.T, m *fake.Member, change func(*unstructured.Unstructured)) {
		t.Helper()
		m.Put(t, fake.Manifest(t, `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`))
		object := fake.Manifest(t, settings)
		if change != nil {
			change(object)
		}
		m.Put(t, object)
	}
	different := func(o *unstructured.Unstructured) { o.Object["data"] = map[string]any{"greeting": "mine"} }
	ofAnother := func(o *unstructured.Unstructured) {
		o.SetLabels(map[string]string{wellknown.LabelManagedBy: "fleet-2"})
	}
	cases := map[string]struct {
		reason     string
		resolution policyv1alpha1.ConflictResolution
		existing   func(*unstructured.Unstructured)
		applied    bool
		message    string // part of it
		want       map[string]string
	}{
		"NoDifference": {
			reason:     "to adopt it changes nothing but marks",
			resolution: policyv1alpha1.ConflictIfNoDiff,
			applied:    true,
			want:       map[string]string{"greeting": "hello"},
		},
		"Difference": {
			reason:     "to adopt it would change what somebody else wants",
			resolution: policyv1alpha1.ConflictIfNoDiff, existing: different,
			message: ".data.greeting",
			want:    map[string]string{"greeting": "mine"},
		},
		"Overwrite": {
			reason:     "the policy says so",
			resolution: policyv1alpha1.ConflictOverwrite, existing: different,
			applied: true,
			want:    map[string]string{"greeting": "hello"},
		},
		"Abort": {
			reason:     "the policy says not to touch what exists, the same or not",
			resolution: policyv1alpha1.ConflictAbort,
			message:    "conflictResolution is Abort",
			want:       map[string]string{"greeting": "hello"},
		},
		"OfAnotherFleet": {
			reason:     "two fleets must not fight, not even when told to overwrite",
			resolution: policyv1alpha1.ConflictOverwrite, existing: ofAnother,
			message: "belongs to fleet fleet-2",
			want:    map[string]string{"greeting": "hello"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			existing(t, r.member, tc.existing)
			before := r.member.Get("ConfigMap", "shop", "settings")
			r.want("settings", settings, resolving(tc.resolution))
			item := r.await("settings", "a result", func(i workv1alpha1.FeedbackItem) bool { return i.AppliedReason != "" })
			if item.Applied != tc.applied || !strings.Contains(item.AppliedMessage, tc.message) {
				t.Errorf("%s: report: applied %t, %q, want %t, %q", tc.reason, item.Applied, item.AppliedMessage, tc.applied, tc.message)
			}
			after := r.member.Get("ConfigMap", "shop", "settings")
			if diff := cmp.Diff(tc.want, dataOf(after)); diff != "" {
				t.Errorf("%s: data: -want +got:\n%s", tc.reason, diff)
			}
			if after.GetUID() != before.GetUID() {
				t.Errorf("%s: the object was replaced", tc.reason)
			}
			if touched := after.GetResourceVersion() != before.GetResourceVersion(); touched != tc.applied {
				t.Errorf("%s: the object was written: %t, want %t", tc.reason, touched, tc.applied)
			}
		})
	}
}

func TestPropagateWaitsForKind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const widget = `{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: default}, spec: {size: 3}}`
	r.want("w", widget)
	item := r.await("w", "not applied", notApplied)
	if item.AppliedReason != workv1alpha1.AppliedReasonKindNotServed {
		t.Errorf("report: %+v, want %s", item, workv1alpha1.AppliedReasonKindNotServed)
	}
	r.member.Serve(fake.Kind{GroupVersionKind: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}, Resource: "widgets", Namespaced: true})
	r.member.Put(t, fake.Manifest(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com}}`))
	r.await("w", "applied once the kind is served", applied)
}

// TestPropagateKeepsQuiet: what passes at once is not reported, by those who write each
// report and tell users of it.
func TestPropagateKeepsQuiet(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("other", strings.Replace(settings, "name: settings", "name: other", 1))
	r.await("other", "applied", applied)
	const most = quietAttempts - 1
	var mu sync.Mutex
	failures := 0
	r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
		mu.Lock()
		defer mu.Unlock()
		if request.Verb != "apply" || failures == most {
			return nil
		}
		failures++
		return apierrors.NewInternalError(errors.New("not yet"))
	})
	r.mu.Lock()
	r.answer = func(item workv1alpha1.FeedbackItem) workv1alpha1.FeedbackResult {
		if !item.Applied {
			t.Errorf("report: %+v, want none before it is applied", item)
		}
		return workv1alpha1.FeedbackResult{Name: item.Name, Accepted: true, Reason: workv1alpha1.FeedbackAccepted}
	}
	r.mu.Unlock()
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	mu.Lock()
	defer mu.Unlock()
	if failures != most {
		t.Errorf("it was refused %d times, want %d", failures, most)
	}
}

// TestPropagateLooksAgain: a member that does not know a field of its schema has got
// another schema, which is read again at once.
func TestPropagateLooksAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	widget := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	r.member.Serve(fake.Kind{GroupVersionKind: widget, Resource: "widgets", Namespaced: true})
	r.settle()
	if _, served := r.session.member.APIs().Resource(widget); served {
		t.Fatal("the member was looked at again without a cause")
	}
	r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
		if request.Verb != "apply" {
			return nil
		}
		return apierrors.NewInternalError(errors.New("failed to create typed patch object (shop/settings; /v1, Kind=ConfigMap): .data: field not declared in schema"))
	})
	r.want("settings", withData("greeting", "bye"), func(w *workv1alpha1.Work) { w.Spec.ContentHash = "2" })
	r.eventually("a new look at the member", func() error {
		if _, served := r.session.member.APIs().Resource(widget); !served {
			return errors.New("there was none")
		}
		return nil
	})
}

func TestPropagateReportsErrors(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Resource: "configmaps"}
	cases := map[string]struct {
		reason string
		answer *apierrors.StatusError
		want   string
	}{
		"Invalid": {
			reason: "the user has to change something",
			answer: apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "settings", nil),
			want:   workv1alpha1.AppliedReasonInvalid,
		},
		"Forbidden": {
			reason: "somebody has to grant something",
			answer: apierrors.NewForbidden(resource, "settings", errors.New(`User "syncer" cannot patch resource "configmaps"`)),
			want:   workv1alpha1.AppliedReasonForbidden,
		},
		"Denied": {
			reason: "the object is not what the member's administrators let in",
			answer: apierrors.NewForbidden(resource, "settings", errors.New("exceeded quota")),
			want:   workv1alpha1.AppliedReasonDenied,
		},
		"Webhook": {
			reason: "it may go away",
			answer: apierrors.NewInternalError(errors.New("failed calling webhook")),
			want:   workv1alpha1.AppliedReasonFailed,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
				if request.Verb == "apply" && request.Resource == "configmaps" {
					return tc.answer
				}
				return nil
			})
			r.want("settings", settings)
			item := r.await("settings", "not applied", notApplied)
			if item.AppliedReason != tc.want || item.AppliedMessage != tc.answer.Error() {
				t.Errorf("%s: report: %s %q, want %s and the member's words %q", tc.reason, item.AppliedReason, item.AppliedMessage, tc.want, tc.answer.Error())
			}
			if tc.want == workv1alpha1.AppliedReasonFailed {
				r.member.FailRequests(nil)
				r.await("settings", "applied when the trouble is over", applied)
			}
		})
	}
}

func TestPropagateSharesNamespace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.member.Put(t, fake.Manifest(t, `{apiVersion: v1, kind: Namespace, metadata: {name: theirs, labels: {team: them}}}`))
	before := r.member.Get("Namespace", "", "theirs")
	r.want("theirs", `{apiVersion: v1, kind: Namespace, metadata: {name: theirs, labels: {team: us}}}`, resolving(policyv1alpha1.ConflictOverwrite))
	r.want("ours", `{apiVersion: v1, kind: Namespace, metadata: {name: ours, labels: {team: us}}}`)
	if item := r.await("theirs", "applied", applied); !strings.Contains(item.AppliedMessage, "shared") {
		t.Errorf("report on a namespace that was there: %+v, want it called shared", item)
	}
	if after := r.member.Get("Namespace", "", "theirs"); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Errorf("a namespace that was there was changed: %v", after.Object["metadata"])
	}
	r.await("ours", "applied", applied)
	ours := r.member.Get("Namespace", "", "ours")
	if ours.GetLabels()["team"] != "us" || ours.GetAnnotations()[wellknown.AnnotationCreatedNamespace] != "true" {
		t.Errorf("the namespace the fleet created: %v, want labels of the template and the mark", ours.Object["metadata"])
	}
}

func TestPropagateSuspended(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold := true
	suspended := func(w *workv1alpha1.Work) { w.Spec.SuspendDispatching = &hold }
	r.want("settings", settings, suspended)
	if item := r.await("settings", "not applied", notApplied); item.AppliedReason != workv1alpha1.AppliedReasonSuspended {
		t.Errorf("report: %+v, want %s", item, workv1alpha1.AppliedReasonSuspended)
	}
	if r.member.Get("ConfigMap", "shop", "settings") != nil {
		t.Error("a suspended work was applied")
	}
	r.want("settings", settings)
	r.await("settings", "applied when it goes on", applied)
}

// What works vanish from the fleet without a tombstone is never deleted.
func TestVanishedWorksDeleteNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.countAnew()
	r.drop("settings")
	r.settle()
	stop := r.start() // an empty list from the first moment
	defer stop()
	r.settle()
	if r.member.Get("ConfigMap", "shop", "settings") == nil || r.member.Writes() != 0 {
		t.Errorf("a work vanished and the member was written to: %v", r.member.Requests())
	}
}

func TestMemberComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.countAnew()
	unavailable := apierrors.NewGenericServerResponse(http.StatusUnauthorized, "", schema.GroupResource{}, "", "", 0, true)
	r.member.FailRequests(func(fake.Request) *apierrors.StatusError { return unavailable })
	r.member.SetToken("another")
	r.want("settings", withData("greeting", "again"), func(w *workv1alpha1.Work) { w.Spec.ContentHash = "2" })
	r.eventually("the loss to be noticed", func() error {
		if health, _ := r.session.member.Health(); health.Usable {
			return errors.New("it is usable")
		}
		return nil
	})
	r.mu.Lock()
	item := r.items["settings"]
	r.mu.Unlock()
	if !item.Applied || item.ContentHash == "2" {
		t.Errorf("report while the member is away: %+v, want the one from before", item)
	}
	r.member.FailRequests(nil)
	r.member.SetToken(fake.Token)
	r.await("settings", "the new content applied", func(i workv1alpha1.FeedbackItem) bool { return i.Applied && i.ContentHash == "2" })
}
