// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/feedback"
)

func TestManyReportsFewWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var members []string
		for n := range 10 {
			members = append(members, fmt.Sprintf("m%d", n))
		}
		store := newEtcd()
		store.putBinding(bindingOf(members...))
		store.putTemplate(deploymentOf(20))
		intake, stop := run(t, &server{etcd: store})
		defer stop()

		var calls sync.WaitGroup
		for _, member := range members {
			calls.Go(func() {
				var items []workv1alpha1.FeedbackItem
				for n := range 100 {
					items = append(items, ready(n%3))
				}
				results, err := intake.Accept(t.Context(), member, append(items, ready(2)))
				if err != nil || len(results) != 101 || slices.ContainsFunc(results, func(r workv1alpha1.FeedbackResult) bool { return !r.Accepted }) {
					t.Errorf("every report is accepted: got %v, %v", results, err)
				}
			})
		}
		calls.Wait()
		synctest.Wait()
		if n := store.count(store.writes, "binding"); n > 2 {
			t.Errorf("a thousand reports are one binding: got %d writes", n)
		}
		if n := store.count(store.writes, "template"); n > 2 {
			t.Errorf("a thousand reports are one template: got %d writes", n)
		}
		if got := readyReplicas(store.template("web")); got != 20 {
			t.Errorf("the last report of each member counts: got %d ready replicas", got)
		}
		if c := meta.FindStatusCondition(store.binding(web).Status.Conditions, workv1alpha1.ConditionFullyApplied); c == nil || c.Status != metav1.ConditionTrue {
			t.Errorf("all members applied the work: got condition %v", c)
		}
	})
}

func TestNothingNewNothingWritten(t *testing.T) {
	for _, peers := range []bool{false, true} {
		t.Run(fmt.Sprintf("Peers=%t", peers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newEtcd()
				store.putBinding(bindingOf("a"))
				store.putTemplate(deploymentOf(2))
				intake, stop := run(t, &server{etcd: store}, func(o *feedback.Options) { o.Peers = peers })
				defer stop()
				again := ready(2)
				again.Status = &runtime.RawExtension{Raw: []byte(`{"replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "updatedReplicas": 2}`)}
				for _, item := range []workv1alpha1.FeedbackItem{ready(2), ready(2), again} {
					if results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{item}); err != nil || !results[0].Accepted {
						t.Fatalf("got %v, %v", results, err)
					}
				}
				intake.Resync(web)
				time.Sleep(time.Minute)
				if b, tm := store.count(store.writes, "binding"), store.count(store.writes, "template"); b != 1 || tm != 1 {
					t.Errorf("what is known already, in whatever order of fields, is not written: got %d and %d writes", b, tm)
				}
			})
		})
	}
}

func TestAnswerOnlyWhenStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a"))
		store.putTemplate(deploymentOf(2))
		release := make(chan error)
		store.beforeWrite = func(target string) error {
			if target == "binding" {
				return <-release
			}
			return nil
		}
		intake, stop := run(t, &server{etcd: store})
		defer stop()

		for _, write := range []struct {
			err  error
			want string
		}{{errors.New("etcd is gone"), workv1alpha1.FeedbackFailed}, {nil, workv1alpha1.FeedbackAccepted}} {
			answered := make(chan []workv1alpha1.FeedbackResult, 1)
			go func() {
				results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)})
				if err != nil {
					t.Errorf("got error %v", err)
				}
				answered <- results
			}()
			time.Sleep(10 * time.Second) // the write hangs
			synctest.Wait()
			select {
			case results := <-answered:
				t.Fatalf("nothing is stored yet, but the answer is %v", results)
			default:
			}
			release <- write.err
			if diff := cmp.Diff([]string{write.want}, reasons(<-answered)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if write.err != nil {
				release <- nil // the retry writes the condition alone
				synctest.Wait()
			}
		}
		if len(store.binding(web).Status.AggregatedStatus) != 1 {
			t.Error("what was accepted is stored")
		}
	})
}

func TestConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a", "b"))
		store.putTemplate(deploymentOf(4))
		first := true
		store.beforeWrite = func(target string) error {
			if target == "binding" && first {
				first = false
				store.editBinding(web, func(b *workv1alpha1.ResourceBinding) { b.Status.SchedulerObservedGeneration = 7 })
			}
			return nil
		}
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)})
		if err != nil || !results[0].Accepted {
			t.Fatalf("a conflict is no failure: got %v, %v", results, err)
		}
		status := store.binding(web).Status
		if status.SchedulerObservedGeneration != 7 || len(status.AggregatedStatus) != 1 {
			t.Errorf("what the other one wrote stays, what was reported comes in addition: got %v", status)
		}
	})
}

func TestEndlessConflicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a"))
		store.beforeWrite = func(string) error {
			store.editBinding(web, func(b *workv1alpha1.ResourceBinding) { b.Status.SchedulerObservedGeneration++ })
			return nil
		}
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)})
		if diff := cmp.Diff([]string{workv1alpha1.FeedbackFailed}, reasons(results)); err != nil || diff != "" {
			t.Errorf("the member is asked to send it again, error %v, -want +got:\n%s", err, diff)
		}
	})
}

func TestTombstones(t *testing.T) {
	cases := map[string]struct {
		reason     string
		clusters   []string
		tombstones []workv1alpha1.Tombstone
		items      []workv1alpha1.FeedbackItem
		want       []string
		left       []workv1alpha1.Tombstone
		reported   int
	}{
		"Confirmed": {
			reason:     "the member confirmed",
			tombstones: []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u1"}, {ClusterName: "b", UID: "u1"}},
			items:      []workv1alpha1.FeedbackItem{buried("u1")},
			want:       []string{"Accepted"},
			left:       []workv1alpha1.Tombstone{{ClusterName: "b", UID: "u1"}},
		},
		"OtherUID": {
			reason:     "a confirmation of another object deletes nothing",
			tombstones: []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u1"}},
			items:      []workv1alpha1.FeedbackItem{buried("u0")},
			want:       []string{"Stale"},
			left:       []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u1"}},
		},
		"EarlierTombstone": {
			reason:     "the template came back and left again; what is confirmed is that it went the first time",
			tombstones: []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u1", Generation: 4}},
			items:      []workv1alpha1.FeedbackItem{func() workv1alpha1.FeedbackItem { i := buried("u1"); i.BindingGeneration = 2; return i }()},
			want:       []string{"Stale"},
			left:       []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u1", Generation: 4}},
		},
		"LaterWork": {
			reason:     "another member was decided upon since, the tombstone is the same",
			tombstones: []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u1", Generation: 4}},
			items:      []workv1alpha1.FeedbackItem{func() workv1alpha1.FeedbackItem { i := buried("u1"); i.BindingGeneration = 5; return i }()},
			want:       []string{"Accepted"},
		},
		"TwoUIDs": {
			reason:     "one of two objects is gone",
			tombstones: []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u0"}, {ClusterName: "a", UID: "u1"}},
			items:      []workv1alpha1.FeedbackItem{buried("u0")},
			want:       []string{"Accepted"},
			left:       []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u1"}},
		},
		"ReportOnTombstone": {
			reason:     "the old object is no status of the new one",
			clusters:   []string{"a"},
			tombstones: []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u0"}},
			items:      []workv1alpha1.FeedbackItem{ready(2)},
			want:       []string{"Stale"},
			left:       []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u0"}},
		},
		"GoneAndMadeAgain": {
			reason:     "the old object is gone and the new one is there, in one report",
			clusters:   []string{"a"},
			tombstones: []workv1alpha1.Tombstone{{ClusterName: "a", UID: "u0"}},
			items:      []workv1alpha1.FeedbackItem{ready(2), buried("u0")},
			want:       []string{"Accepted", "Accepted"},
			reported:   1,
		},
		"NotInBinding": {
			reason:   "a member that is not in the binding has nothing to say",
			clusters: []string{"b"},
			items:    []workv1alpha1.FeedbackItem{ready(2), buried("u1")},
			want:     []string{"NotFound", "Stale"},
		},
		"OtherTemplate": {
			reason:   "a report about another template is no status of this one",
			clusters: []string{"a"},
			items:    []workv1alpha1.FeedbackItem{func() workv1alpha1.FeedbackItem { i := ready(2); i.TemplateUID = "u0"; return i }()},
			want:     []string{"Stale"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newEtcd()
				binding := bindingOf(tc.clusters...)
				binding.Spec.Tombstones = tc.tombstones
				store.putBinding(binding)
				store.putTemplate(deploymentOf(2))
				intake, stop := run(t, &server{etcd: store})
				defer stop()
				results, err := intake.Accept(t.Context(), "a", tc.items)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, reasons(results)); diff != "" {
					t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
				}
				stored := store.binding(web)
				if diff := cmp.Diff(tc.left, stored.Spec.Tombstones, cmp.Transformer("empty", func(l []workv1alpha1.Tombstone) int { return len(l) })); diff != "" {
					t.Errorf("%s: tombstones: -want +got:\n%s", tc.reason, diff)
				}
				if len(tc.left) > 0 && !slices.Equal(tc.left, stored.Spec.Tombstones) {
					t.Errorf("%s: tombstones are %v, want %v", tc.reason, stored.Spec.Tombstones, tc.left)
				}
				if got := len(stored.Status.AggregatedStatus); got != tc.reported {
					t.Errorf("%s: %d members have a status, want %d", tc.reason, got, tc.reported)
				}
				if n := store.count(store.writes, "binding"); n > 1 {
					t.Errorf("%s: tombstones and status are one write, got %d", tc.reason, n)
				}
			})
		})
	}
}

func TestUnknownWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a"))
		store.putTemplate(deploymentOf(2))
		looks := map[string]int{}
		intake, stop := run(t, &server{etcd: store}, func(o *feedback.Options) {
			o.Works = works(func(_, work string) (types.NamespacedName, bool) {
				looks[work]++
				known := work == "late" && looks[work] > 1
				if !known {
					return types.NamespacedName{}, false
				}
				return web, true
			})
		})
		defer stop()
		late, never := ready(2), ready(2)
		late.Name, never.Name = "late", "never"
		results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{never, late})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"NotFound", "Accepted"}, reasons(results)); diff != "" {
			t.Errorf("a work this server learns of a moment later exists: -want +got:\n%s", diff)
		}
		if results[0].Name != "never" || results[1].Name != "late" {
			t.Errorf("results are in the order of the items: got %v", results)
		}
	})
}

func TestBindingGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		intake, stop := run(t, &server{etcd: newEtcd()})
		defer stop()
		results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)})
		if diff := cmp.Diff([]string{"NotFound"}, reasons(results)); err != nil || diff != "" {
			t.Errorf("there is no such binding, error %v, -want +got:\n%s", err, diff)
		}
	})
}

func TestTemplateLeftAlone(t *testing.T) {
	refused := apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "web", nil)
	cases := map[string]struct {
		reason   string
		template func() *unstructured.Unstructured
		refuse   error
	}{
		"Gone":    {reason: "a template that is gone has no status", template: func() *unstructured.Unstructured { return nil }},
		"Another": {reason: "another template of that name is none of the binding's", template: func() *unstructured.Unstructured { d := deploymentOf(2); d.SetUID("u2"); return d }},
		"Refused": {reason: "a status that the server refuses is not tried for ever", template: func() *unstructured.Unstructured { return deploymentOf(2) }, refuse: refused},
		"NoStatusSubresource": {
			reason:   "a kind without a status subresource is the user's alone",
			template: func() *unstructured.Unstructured { return deploymentOf(2) },
			refuse:   apierrors.NewNotFound(deploymentResource, "web"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newEtcd()
				store.putBinding(bindingOf("a"))
				if template := tc.template(); template != nil {
					store.putTemplate(template)
				}
				var attempts atomic.Int64
				store.beforeWrite = func(target string) error {
					if target == "template" {
						attempts.Add(1)
						return tc.refuse
					}
					return nil
				}
				intake, stop := run(t, &server{etcd: store})
				defer stop()
				results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)})
				if err != nil || !results[0].Accepted {
					t.Errorf("%s, the report is stored all the same: got %v, %v", tc.reason, results, err)
				}
				time.Sleep(time.Hour)
				if n := attempts.Load(); n > 2 {
					t.Errorf("%s: got %d attempts", tc.reason, n)
				}
				if template := store.template("web"); template != nil && template.Object["status"] != nil {
					t.Errorf("%s: got %v", tc.reason, template.Object["status"])
				}
			})
		})
	}
}

func TestKindWithoutStatusIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		binding := bindingOf("a")
		binding.Spec.Resource.APIVersion, binding.Spec.Resource.Kind = "v1", "ConfigMap"
		store.putBinding(binding)
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		item := ready(2)
		item.Status = nil
		if _, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{item}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := store.count(store.liveReads, "template"); n != 0 {
			t.Errorf("a ConfigMap has no status anywhere: it was read %d times", n)
		}
	})
}

func TestTemplateWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a"))
		store.putTemplate(deploymentOf(2))
		failures := 3
		store.beforeWrite = func(target string) error {
			if target == "template" && failures > 0 {
				failures--
				return errors.New("etcd is gone")
			}
			return nil
		}
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)})
		if err != nil || !results[0].Accepted {
			t.Fatalf("the report is durable in the binding: got %v, %v", results, err)
		}
		time.Sleep(time.Minute)
		if got := readyReplicas(store.template("web")); got != 2 {
			t.Errorf("the status of the template follows later: got %d ready replicas", got)
		}
	})
}

func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a", "b"))
		store.putTemplate(deploymentOf(4))
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		for _, member := range []string{"a", "b"} {
			if _, err := intake.Accept(t.Context(), member, []workv1alpha1.FeedbackItem{ready(2)}); err != nil {
				t.Fatal(err)
			}
		}
		// A member leaves.
		store.editBinding(web, func(b *workv1alpha1.ResourceBinding) {
			b.Generation = 2
			b.Spec.Clusters = b.Spec.Clusters[:1]
			b.Spec.Tombstones = []workv1alpha1.Tombstone{{ClusterName: "b", UID: "u1"}}
		})
		intake.Resync(web)
		time.Sleep(2 * time.Second)
		if got := readyReplicas(store.template("web")); got != 2 {
			t.Errorf("the replicas of a member that left are none of the template's: got %d", got)
		}
		stored := store.binding(web)
		if len(stored.Status.AggregatedStatus) != 1 {
			t.Errorf("the status of a member that left is dropped: got %v", stored.Status.AggregatedStatus)
		}
		if c := meta.FindStatusCondition(stored.Status.Conditions, workv1alpha1.ConditionFullyApplied); c == nil || c.Reason != workv1alpha1.ReasonFullyAppliedPending || c.ObservedGeneration != 2 {
			t.Errorf("the new decision is not applied yet: got %v", c)
		}
	})
}

// TestUnreachable loses a member and finds it again, without a report of it.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a", "b"))
		store.putTemplate(deploymentOf(4))
		var lost atomic.Bool
		intake, stop := run(t, &server{etcd: store}, func(o *feedback.Options) {
			o.Unreachable = func(member string) bool { return member == "b" && lost.Load() }
		})
		defer stop()
		for _, member := range []string{"a", "b"} {
			if _, err := intake.Accept(t.Context(), member, []workv1alpha1.FeedbackItem{ready(2)}); err != nil {
				t.Fatal(err)
			}
		}
		bindings := store.count(store.writes, "binding")
		for _, step := range []struct {
			reason string
			lost   bool
			want   int64
		}{
			{"what is ready in a member that nobody hears from is nothing to rely on", true, 2},
			{"it is what it was when the member is heard from again", false, 4},
		} {
			lost.Store(step.lost)
			intake.Resync(web)
			time.Sleep(2 * time.Second)
			if got := readyReplicas(store.template("web")); got != step.want {
				t.Errorf("%s: want %d ready, got %d", step.reason, step.want, got)
			}
		}
		if got := store.count(store.writes, "binding"); got != bindings {
			t.Errorf("the binding says what the member said last: it was written %d times more", got-bindings)
		}
	})
}

// TestDeadline lets a rollout run into its progress deadline though nobody reports
// anything any more.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a", "b"))
		store.putTemplate(deploymentOf(4))
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		if _, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute)
		conditions, _, _ := unstructured.NestedSlice(store.template("web").Object, "status", "conditions")
		if !slices.ContainsFunc(conditions, func(c any) bool { return c.(map[string]any)["reason"] == "ProgressDeadlineExceeded" }) {
			t.Errorf("member b never answered: got %v", conditions)
		}
		writes := store.count(store.writes, "template")
		time.Sleep(24 * time.Hour)
		if got := store.count(store.writes, "template"); got != writes {
			t.Errorf("nothing happens after that: got %d writes, then %d", writes, got)
		}
	})
}

func TestResyncOfManyIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		for n := range 5000 {
			intake.Resync(types.NamespacedName{Namespace: "ns", Name: fmt.Sprintf("b%d", n)})
		}
		time.Sleep(2 * time.Second)
		if n := store.count(store.liveReads, "binding"); n == 0 || n > 1100 {
			t.Errorf("a second later about a thousand had their turn: got %d", n)
		}
	})
}

// TestResyncUnderLoad has what is not reported wait longer while much goes on, but not for
// ever.
func TestResyncUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		const many = 100
		for n := range many {
			intake.Resync(types.NamespacedName{Namespace: "ns", Name: fmt.Sprintf("b%d", n)})
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond)
		if n := store.count(store.liveReads, "binding"); n == 0 || n > many/2 {
			t.Errorf("the first have their turn promptly, the others wait: got %d", n)
		}
		time.Sleep(5 * time.Second)
		if n := store.count(store.liveReads, "binding"); n != many {
			t.Errorf("a little later all had their turn: got %d, want %d", n, many)
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a"))
		intake, stop := run(t, &server{etcd: store}, func(o *feedback.Options) { o.Window, o.MaxWindow = time.Hour, time.Hour })
		answered := make(chan []workv1alpha1.FeedbackResult, 1)
		go func() {
			results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)})
			if err != nil {
				t.Errorf("got error %v", err)
			}
			answered <- results
		}()
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]string{"Failed"}, reasons(<-answered)); diff != "" {
			t.Errorf("what is not written is not accepted: -want +got:\n%s", diff)
		}
		if _, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)}); !apierrors.IsServiceUnavailable(err) {
			t.Errorf("a stopped intake takes nothing: got %v", err)
		}
	})
}

func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a"))
		store.putTemplate(deploymentOf(2))
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if results, err := intake.Accept(ctx, "a", []workv1alpha1.FeedbackItem{ready(2)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller does not wait any longer: got %v, %v", results, err)
		}
	})
}

func TestMalformedStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		intake, stop := run(t, &server{etcd: newEtcd()})
		defer stop()
		for _, raw := range []string{"[1]", "7", "{"} {
			item := ready(2)
			item.Status = &runtime.RawExtension{Raw: []byte(raw)}
			if _, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{item}); !apierrors.IsBadRequest(err) {
				t.Errorf("%s is no status: got %v", raw, err)
			}
		}
	})
}

func TestNew(t *testing.T) {
	if _, err := feedback.New(feedback.Options{}); err == nil {
		t.Error("an intake without parts cannot work: got no error")
	}
	s := &server{}
	options := feedback.Options{Works: works(everyWork), Bindings: bindingClient{s}, Templates: templateClient{s}, Window: time.Second, MaxWindow: time.Millisecond}
	if _, err := feedback.New(options); err == nil {
		t.Error("a window longer than the longest is a mistake: got no error")
	}
}
