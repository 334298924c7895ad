// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	workclient "fleet.dev/fleet/pkg/generated/clientset/versioned/typed/work/v1alpha1"
)

// intake is the fleet's end of the reports.
type intake struct {
	workclient.WorkFeedbackInterface

	mu      sync.Mutex
	batches [][]string // what each request said, sorted
	answer  func(workv1alpha1.FeedbackItem) workv1alpha1.FeedbackResult
	fail    func([]workv1alpha1.FeedbackItem) error
}

func (i *intake) Create(_ context.Context, feedback *workv1alpha1.WorkFeedback, _ metav1.CreateOptions) (*workv1alpha1.WorkFeedback, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var batch []string
	answer := feedback.DeepCopy()
	for _, item := range feedback.Spec.Items {
		batch = append(batch, item.Name+"="+item.ContentHash)
		result := workv1alpha1.FeedbackResult{Name: item.Name, Accepted: true, Reason: workv1alpha1.FeedbackAccepted}
		if i.answer != nil {
			result = i.answer(item)
		}
		answer.Status.Results = append(answer.Status.Results, result)
	}
	slices.Sort(batch)
	i.batches = append(i.batches, batch)
	if i.fail != nil {
		if err := i.fail(feedback.Spec.Items); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// change changes how the intake answers.
func (i *intake) change(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *intake) took() [][]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	taken := i.batches
	i.batches = nil
	return taken
}

// reporting runs a reporter in a bubble of time and lets do play in it.
func reporting(t *testing.T, in *intake, do func(add func(name, content string), dropped *[]string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var dropped []string
		r := newReporter(in, clock.RealClock{}, func(work string) { dropped = append(dropped, work) })
		ctx, cancel := context.WithCancel(t.Context())
		go r.run(ctx)
		do(func(name, content string) {
			t.Helper()
			report, err := newReport("uid", workv1alpha1.FeedbackItem{Name: name, ContentHash: content})
			if err != nil {
				t.Fatal(err)
			}
			r.add(report)
		}, &dropped)
		cancel()
		synctest.Wait()
	})
}

func expect(t *testing.T, in *intake, when string, want ...[]string) {
	t.Helper()
	if diff := cmp.Diff(want, in.took()); diff != "" {
		t.Errorf("%s: requests -want +got:\n%s", when, diff)
	}
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestReporterBatches(t *testing.T) {
	in := &intake{}
	reporting(t, in, func(add func(string, string), _ *[]string) {
		add("a", "1")
		add("b", "1")
		add("a", "2")
		pass(batchWindow)
		expect(t, in, "three reports on two works", []string{"a=2", "b=1"})
		add("a", "2")
		pass(time.Second)
		expect(t, in, "what the fleet has already")
		add("a", "3")
		pass(batchWindow)
		expect(t, in, "news", []string{"a=3"})
	})
}

func TestReporterWaitsForProgress(t *testing.T) {
	in := &intake{}
	synctest.Test(t, func(t *testing.T) {
		r := newReporter(in, clock.RealClock{}, func(string) {})
		ctx, cancel := context.WithCancel(t.Context())
		go r.run(ctx)
		add := func(name, content string, health workv1alpha1.ResourceHealth) {
			t.Helper()
			report, err := newReport("uid", workv1alpha1.FeedbackItem{Name: name, ContentHash: content, Applied: true, Health: health})
			if err != nil {
				t.Fatal(err)
			}
			r.add(report)
		}
		add("a", "starting", workv1alpha1.ResourceUnhealthy)
		add("b", "starting", workv1alpha1.ResourceUnknown)
		pass(batchWindow)
		expect(t, in, "objects on their way")
		add("a", "running", workv1alpha1.ResourceHealthy)
		pass(batchWindow)
		expect(t, in, "one arrived", []string{"a=running"})
		add("b", "half way", workv1alpha1.ResourceUnhealthy)
		pass(progressWindow - batchWindow)
		expect(t, in, "the other one takes long, all members report together", []string{"b=half way"})
		cancel()
		synctest.Wait()
	})
}

func TestPatience(t *testing.T) {
	cases := map[string]struct {
		reason  string
		item    workv1alpha1.FeedbackItem
		waiting int
		want    time.Duration
	}{
		"Progress": {"most objects arrive soon", workv1alpha1.FeedbackItem{Applied: true, Health: workv1alpha1.ResourceUnhealthy}, 0, progressWindow},
		"Crowd":    {"when many are on their way, each takes longer", workv1alpha1.FeedbackItem{Applied: true, Health: workv1alpha1.ResourceUnknown}, 2 * progressCrowd, 4 * progressWindow},
		"Flood":    {"there is a limit to what users wait for", workv1alpha1.FeedbackItem{Applied: true, Health: workv1alpha1.ResourceUnknown}, 100_000, maxProgressWindow},
		"Healthy":  {"waiters wait for this", workv1alpha1.FeedbackItem{Applied: true, Health: workv1alpha1.ResourceHealthy}, 100, 0},
		"Failed":   {"somebody has to do something", workv1alpha1.FeedbackItem{Health: workv1alpha1.ResourceUnhealthy}, 100, 0},
		"Deleted":  {"a deletion waits for it", workv1alpha1.FeedbackItem{Applied: true, Deleted: true, Health: workv1alpha1.ResourceUnknown}, 100, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := (report{item: tc.item}).patience(tc.waiting); got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

func TestReporterLimitsBatches(t *testing.T) {
	in := &intake{}
	reporting(t, in, func(add func(string, string), _ *[]string) {
		for n := range batchSize + 1 {
			add(fmt.Sprint(n), "1")
		}
		pass(time.Second)
		sizes := map[int]int{}
		for _, batch := range in.took() {
			sizes[len(batch)]++
		}
		if diff := cmp.Diff(map[int]int{batchSize: 1, 1: 1}, sizes); diff != "" {
			t.Errorf("sizes of requests: -want +got:\n%s", diff)
		}
		add("big", strings.Repeat("x", batchBytes))
		add("huge", strings.Repeat("x", batchBytes))
		pass(time.Second)
		if got := len(in.took()); got != 2 {
			t.Errorf("two reports of %d bytes came in %d requests, want 2", batchBytes, got)
		}
	})
}

func TestReporterRetries(t *testing.T) {
	away := true
	in := &intake{fail: func([]workv1alpha1.FeedbackItem) error {
		if away {
			return errors.New("connection refused")
		}
		return nil
	}}
	reporting(t, in, func(add func(string, string), _ *[]string) {
		add("a", "1")
		pass(10 * time.Second)
		tries := len(in.took())
		if tries < 2 || tries > 10 {
			t.Errorf("%d tries in 10 seconds, want a few", tries)
		}
		add("a", "2")
		in.change(func() { away = false })
		pass(time.Minute)
		expect(t, in, "the fleet is back: only the latest counts", []string{"a=2"})
	})
}

// What an object goes back to while the fleet is told of what came between is news.
func TestReporterToAndFro(t *testing.T) {
	const underway = 100 * time.Millisecond
	lost := false
	in := &intake{fail: func([]workv1alpha1.FeedbackItem) error {
		time.Sleep(underway)
		if lost {
			lost = false
			return errors.New("connection reset") // the fleet has it all the same
		}
		return nil
	}}
	reporting(t, in, func(add func(string, string), _ *[]string) {
		add("a", "ready")
		pass(time.Second)
		expect(t, in, "at first", []string{"a=ready"})
		add("a", "not ready")
		pass(batchWindow + underway/2)
		add("a", "ready")
		pass(time.Second)
		expect(t, in, "it is ready again while it is told not to be", []string{"a=not ready"}, []string{"a=ready"})

		add("a", "not ready")
		pass(batchWindow + underway/2)
		add("a", "ready")
		add("a", "not ready")
		pass(time.Second)
		expect(t, in, "it is as is being told", []string{"a=not ready"})

		in.change(func() { lost = true })
		add("a", "ready")
		pass(batchWindow + underway/2)
		add("a", "not ready")
		pass(time.Minute)
		expect(t, in, "it is as before, and what came between may have arrived", []string{"a=ready"}, []string{"a=not ready"})
	})
}

func TestReporterAnswers(t *testing.T) {
	reasons := map[string]string{"failed": workv1alpha1.FeedbackFailed, "stale": workv1alpha1.FeedbackStale}
	in := &intake{answer: func(item workv1alpha1.FeedbackItem) workv1alpha1.FeedbackResult {
		if reason, ok := reasons[item.Name]; ok {
			return workv1alpha1.FeedbackResult{Name: item.Name, Reason: reason}
		}
		return workv1alpha1.FeedbackResult{Name: item.Name, Accepted: true}
	}}
	reporting(t, in, func(add func(string, string), dropped *[]string) {
		add("failed", "1")
		add("stale", "1")
		add("good", "1")
		pass(batchWindow)
		expect(t, in, "first", []string{"failed=1", "good=1", "stale=1"})
		if diff := cmp.Diff([]string{"stale"}, *dropped); diff != "" {
			t.Errorf("works to look at again: -want +got:\n%s", diff)
		}
		in.change(func() { delete(reasons, "failed") })
		pass(time.Minute)
		expect(t, in, "what the fleet could not take up is sent again, and nothing else", []string{"failed=1"})
		in.change(func() { delete(reasons, "stale") })
		add("stale", "1")
		pass(batchWindow)
		expect(t, in, "what was dropped is sent when there is another look", []string{"stale=1"})
	})
}

func TestReporterSurvivesABadReport(t *testing.T) {
	in := &intake{fail: func(items []workv1alpha1.FeedbackItem) error {
		for _, item := range items {
			if item.Name == "bad" {
				return apierrors.NewInvalid(schema.GroupKind{Kind: "WorkFeedback"}, "feedback", nil)
			}
		}
		return nil
	}}
	reporting(t, in, func(add func(string, string), _ *[]string) {
		add("a", "1")
		add("bad", "1")
		add("b", "1")
		pass(time.Hour)
		got := map[string]int{}
		for _, batch := range in.took() {
			got[strings.Join(batch, " ")]++
		}
		want := map[string]int{"a=1 b=1 bad=1": 1, "a=1": 1, "b=1": 1, "bad=1": 1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("requests: -want +got:\n%s", diff)
		}
	})
}
