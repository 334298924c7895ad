// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
	"fleet.dev/fleet/pkg/interpreter/store"
	"fleet.dev/fleet/pkg/member"
	"fleet.dev/fleet/pkg/member/fake"
)

const (
	testFleet = "fleet-1"
	patience  = 60 * time.Second
	// rigWorkers is how many works the session of a rig looks at together.
	rigWorkers = 4
)

// rig is a session between a fake fleet and a fake member.
type rig struct {
	*testing.T
	member  *fake.Member
	fleet   *fleetfake.Clientset
	session *session
	// interpretations of custom resources, none unless a test puts some.
	interpretations *store.Store

	// sweepDelay and slowLook are those of the session when they are not 0.
	sweepDelay, slowLook time.Duration

	mu      sync.Mutex
	items   map[string]workv1alpha1.FeedbackItem // the latest, by work
	news    chan struct{}
	batches int
	// apisChanged is told, beside the session.
	apisChanged func()
	answer      func(workv1alpha1.FeedbackItem) workv1alpha1.FeedbackResult
}

// newRig returns a running session whose member is usable.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := newIdleRig(t)
	r.start()
	return r
}

// newIdleRig returns a rig without a session.
func newIdleRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		T: t, member: fake.Start(t), fleet: fleetfake.NewSimpleClientset(),
		interpretations: store.New(nil),
		items:           map[string]workv1alpha1.FeedbackItem{}, news: make(chan struct{}, 1), apisChanged: func() {},
	}
	r.fleet.PrependReactor("create", "workfeedbacks", r.takeFeedback)
	return r
}

// start runs a session until the test, or stop, ends it.
func (r *rig) start() (stop func()) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	connection, err := member.Connect(ctx, member.Options{
		Name: "one", Catalog: &member.Catalog{}, Clock: clock.RealClock{},
		Access: func(context.Context) (*rest.Config, error) { return r.member.Config(), nil },
		APIsChanged: func() {
			r.session.apisChanged()
			r.mu.Lock()
			defer r.mu.Unlock()
			r.apisChanged()
		},
	})
	if err != nil {
		r.Fatalf("Connect(): %v", err)
	}
	r.session = newSession(sessionOptions{
		cluster: "one", fleetID: testFleet, workers: rigWorkers, clock: clock.RealClock{},
		logger: klog.FromContext(ctx), member: connection, fleet: r.fleet,
		sweepDelay: r.sweepDelay, slowLook: r.slowLook, interpretations: r.interpretations,
	})
	var wg sync.WaitGroup
	wg.Go(func() { _ = connection.Run(ctx) })
	wg.Go(func() { _ = r.session.run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	r.Cleanup(stop)
	return stop
}

// takeFeedback is the fleet's end of the reports.
func (r *rig) takeFeedback(action clienttesting.Action) (bool, runtime.Object, error) {
	feedback := action.(clienttesting.CreateAction).GetObject().(*workv1alpha1.WorkFeedback).DeepCopy()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches++
	for _, item := range feedback.Spec.Items {
		result := workv1alpha1.FeedbackResult{Name: item.Name, Accepted: true, Reason: workv1alpha1.FeedbackAccepted}
		if r.answer != nil {
			result = r.answer(item)
		}
		if result.Accepted {
			r.items[item.Name] = item
		}
		feedback.Status.Results = append(feedback.Status.Results, result)
	}
	ring(r.news)
	return true, feedback, nil
}

// await waits for a report on a work that is as wanted.
func (r *rig) await(work, what string, is func(workv1alpha1.FeedbackItem) bool) workv1alpha1.FeedbackItem {
	r.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		item, ok := r.items[work]
		r.mu.Unlock()
		if ok && is(item) {
			return item
		}
		select {
		case <-r.news:
		case <-deadline:
			r.Fatalf("waited %s for the report on work %q to say %s; the last is %+v", patience, work, what, item)
		}
	}
}

func applied(item workv1alpha1.FeedbackItem) bool { return item.Applied }
func notApplied(item workv1alpha1.FeedbackItem) bool {
	return !item.Applied && item.AppliedReason != ""
}
func deleted(item workv1alpha1.FeedbackItem) bool { return item.Deleted }

// eventually waits until done returns nil. It looks whenever the member or the
// fleet may have changed, which nothing tells, so it looks often.
func (r *rig) eventually(what string, done func() error) {
	r.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	err := done()
	for err != nil {
		select {
		case <-ticker.C:
			err = done()
		case <-deadline:
			r.Fatalf("waited %s for %s: %v", patience, what, err)
		}
	}
}

// countAnew waits until the session has nothing to do, and starts counting the
// requests to the member from there.
func (r *rig) countAnew() {
	r.Helper()
	r.settle()
	r.member.ResetRequests()
}

// settle waits until the session has nothing to do and has reported everything.
func (r *rig) settle() {
	r.Helper()
	quiet := 0
	r.eventually("the session to settle", func() error {
		r.session.reporter.mu.Lock()
		pending := len(r.session.reporter.pending)
		r.session.reporter.mu.Unlock()
		if depth := r.session.queue.Len(); depth > 0 || pending > 0 {
			quiet = 0
			return fmt.Errorf("%d works wait, %d reports are pending", depth, pending)
		}
		if quiet++; quiet < 40 {
			return fmt.Errorf("it has not been quiet for long")
		}
		return nil
	})
}

// want puts a work into the fleet, or changes it.
func (r *rig) want(name, text string, changes ...func(*workv1alpha1.Work)) {
	r.Helper()
	object := fake.Manifest(r, text)
	mark(object)
	raw, err := json.Marshal(object.Object)
	if err != nil {
		r.Fatal(err)
	}
	work := &workv1alpha1.Work{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: r.session.namespace, UID: types.UID("work-" + name), ResourceVersion: fmt.Sprint(time.Now().UnixNano())},
		Spec: workv1alpha1.WorkSpec{
			Workload:           workv1alpha1.WorkloadTemplate{Manifests: []runtime.RawExtension{{Raw: raw}}},
			ConflictResolution: policyv1alpha1.ConflictIfNoDiff,
			ContentHash:        fmt.Sprintf("%x", len(raw)),
			Template: workv1alpha1.TemplateReference{
				APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Namespace: object.GetNamespace(), Name: object.GetName(),
				UID: "uid-1", Generation: 1,
			},
		},
	}
	for _, change := range changes {
		change(work)
	}
	tracker, resource := r.fleet.Tracker(), workv1alpha1.SchemeGroupVersion.WithResource("works")
	if _, err := tracker.Get(resource, work.Namespace, name); err == nil {
		err = tracker.Update(resource, work, work.Namespace)
		if err != nil {
			r.Fatalf("update work: %v", err)
		}
		return
	}
	if err := tracker.Create(resource, work, work.Namespace); err != nil {
		r.Fatalf("create work: %v", err)
	}
}

// drop takes a work out of the fleet.
func (r *rig) drop(name string) {
	r.Helper()
	if err := r.fleet.Tracker().Delete(workv1alpha1.SchemeGroupVersion.WithResource("works"), r.session.namespace, name); err != nil {
		r.Fatalf("delete work: %v", err)
	}
}

// mark puts the fleet's marks on an object, as rendering does.
func mark(object *unstructured.Unstructured) {
	labels := maps.Clone(object.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	labels[wellknown.LabelManagedBy] = testFleet
	object.SetLabels(labels)
	annotations := maps.Clone(object.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	if annotations[wellknown.AnnotationTemplateUID] == "" {
		annotations[wellknown.AnnotationTemplateUID] = "uid-1"
	}
	object.SetAnnotations(annotations)
}

func tombstone(work *workv1alpha1.Work) { work.Spec.Deleted = true }

func orphaned(work *workv1alpha1.Work) { work.Spec.Deleted, work.Spec.Orphan = true, true }

func resolving(how policyv1alpha1.ConflictResolution) func(*workv1alpha1.Work) {
	return func(work *workv1alpha1.Work) { work.Spec.ConflictResolution = how }
}
