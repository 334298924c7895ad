// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/feedback"
)

var (
	bindingResource    = schema.GroupResource{Group: "work.fleet.dev", Resource: "resourcebindings"}
	deploymentResource = schema.GroupResource{Group: "apps", Resource: "deployments"}
	web                = types.NamespacedName{Namespace: "ns", Name: "web-deployment"}
)

// etcd is what all servers share: bindings and templates with one revision. Each
// history is kept, so that a server's cache may be behind.
type etcd struct {
	mu        sync.Mutex
	revision  int64
	bindings  map[types.NamespacedName][]*workv1alpha1.ResourceBinding
	templates map[string][]*unstructured.Unstructured

	// beforeWrite is called without the lock before each write of feedback.
	beforeWrite func(target string) error
	writes      map[string]int
	liveReads   map[string]int
}

func newEtcd() *etcd {
	return &etcd{
		revision: 100, writes: map[string]int{}, liveReads: map[string]int{},
		bindings:  map[types.NamespacedName][]*workv1alpha1.ResourceBinding{},
		templates: map[string][]*unstructured.Unstructured{},
	}
}

// putBinding stores a binding as the scheduler would.
func (e *etcd) putBinding(binding *workv1alpha1.ResourceBinding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.storeBinding(binding.DeepCopy())
}

func (e *etcd) storeBinding(binding *workv1alpha1.ResourceBinding) {
	e.revision++
	binding.ResourceVersion = strconv.FormatInt(e.revision, 10)
	name := types.NamespacedName{Namespace: binding.Namespace, Name: binding.Name}
	e.bindings[name] = append(e.bindings[name], binding)
}

// editBinding changes what is stored.
func (e *etcd) editBinding(name types.NamespacedName, edit func(*workv1alpha1.ResourceBinding)) {
	binding := e.binding(name)
	edit(binding)
	e.putBinding(binding)
}

func (e *etcd) binding(name types.NamespacedName) *workv1alpha1.ResourceBinding {
	e.mu.Lock()
	defer e.mu.Unlock()
	history := e.bindings[name]
	return history[len(history)-1].DeepCopy()
}

func (e *etcd) putTemplate(template *unstructured.Unstructured) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.storeTemplate(template.DeepCopy())
}

func (e *etcd) storeTemplate(template *unstructured.Unstructured) {
	e.revision++
	template.SetResourceVersion(strconv.FormatInt(e.revision, 10))
	e.templates[template.GetName()] = append(e.templates[template.GetName()], template)
}

func (e *etcd) template(name string) *unstructured.Unstructured {
	e.mu.Lock()
	defer e.mu.Unlock()
	history := e.templates[name]
	if len(history) == 0 {
		return nil
	}
	return history[len(history)-1].DeepCopy()
}

func (e *etcd) count(counts map[string]int, target string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return counts[target]
}

// server is what one API server sees of etcd.
type server struct {
	*etcd
	// lag is how many versions of each object the cache is behind.
	lag int
	// delay is the longest time a read or write takes; it is random.
	delay  time.Duration
	random *rand.Rand
	mu     sync.Mutex
}

func (s *server) pause() {
	if s.delay == 0 {
		return
	}
	s.mu.Lock()
	pause := time.Duration(s.random.Int64N(int64(s.delay)))
	s.mu.Unlock()
	time.Sleep(pause)
}

// version picks the one of a history that the server sees.
func version[T any](s *server, history []T, live bool) (T, bool) {
	var none T
	switch n := len(history); {
	case n == 0:
		return none, false
	case live:
		return history[n-1], true
	default:
		return history[max(0, n-1-s.lag)], true
	}
}

type bindingClient struct{ *server }

func (s bindingClient) Get(_ context.Context, name types.NamespacedName, live bool) (workv1alpha1.Binding, error) {
	s.pause()
	s.etcd.mu.Lock()
	history := s.bindings[name]
	if live {
		s.liveReads["binding"]++
	}
	s.etcd.mu.Unlock()
	binding, ok := version(s.server, history, live)
	if !ok {
		return nil, apierrors.NewNotFound(bindingResource, name.Name)
	}
	s.pause()
	return binding, nil
}

func (s bindingClient) UpdateFeedback(_ context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	s.pause()
	if s.beforeWrite != nil {
		if err := s.beforeWrite("binding"); err != nil {
			return nil, err
		}
	}
	s.etcd.mu.Lock()
	defer s.etcd.mu.Unlock()
	name := types.NamespacedName{Namespace: binding.GetNamespace(), Name: binding.GetName()}
	history := s.bindings[name]
	if len(history) == 0 {
		return nil, apierrors.NewNotFound(bindingResource, name.Name)
	}
	stored := history[len(history)-1]
	if stored.ResourceVersion != binding.GetResourceVersion() {
		return nil, apierrors.NewConflict(bindingResource, name.Name, fmt.Errorf("the binding has changed"))
	}
	updated := stored.DeepCopy()
	updated.Status = *binding.GetStatus().DeepCopy()
	updated.Spec.Tombstones = binding.GetSpec().DeepCopy().Tombstones
	if equality.Semantic.DeepEqual(updated, stored) {
		return stored, nil
	}
	s.writes["binding"]++
	s.storeBinding(updated)
	return updated.DeepCopy(), nil
}

type templateClient struct{ *server }

func (s templateClient) Get(_ context.Context, template workv1alpha1.ObjectReference, live bool) (*unstructured.Unstructured, error) {
	s.pause()
	s.etcd.mu.Lock()
	history := s.templates[template.Name]
	if live {
		s.liveReads["template"]++
	}
	s.etcd.mu.Unlock()
	found, ok := version(s.server, history, live)
	if !ok {
		return nil, apierrors.NewNotFound(deploymentResource, template.Name)
	}
	s.pause()
	return found, nil
}

func (s templateClient) UpdateStatus(_ context.Context, template *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	s.pause()
	if s.beforeWrite != nil {
		if err := s.beforeWrite("template"); err != nil {
			return nil, err
		}
	}
	s.etcd.mu.Lock()
	defer s.etcd.mu.Unlock()
	history := s.templates[template.GetName()]
	if len(history) == 0 {
		return nil, apierrors.NewNotFound(deploymentResource, template.GetName())
	}
	stored := history[len(history)-1]
	if stored.GetResourceVersion() != template.GetResourceVersion() {
		return nil, apierrors.NewConflict(deploymentResource, template.GetName(), fmt.Errorf("the template has changed"))
	}
	updated := stored.DeepCopy()
	updated.Object["status"] = runtime.DeepCopyJSONValue(template.Object["status"])
	s.writes["template"]++
	s.storeTemplate(updated)
	return updated.DeepCopy(), nil
}

// works finds the binding of any work by the name of the work, as long as it is
// known.
type works func(member, work string) (types.NamespacedName, bool)

func (w works) BindingOf(member, work string) (types.NamespacedName, bool) { return w(member, work) }

func everyWork(_, work string) (types.NamespacedName, bool) {
	return types.NamespacedName{Namespace: "ns", Name: work}, true
}

// run starts an intake of a server inside a synctest bubble; stop ends it.
func run(t *testing.T, s *server, edit ...func(*feedback.Options)) (intake *feedback.Intake, stop func()) {
	t.Helper()
	options := feedback.Options{Works: works(everyWork), Bindings: bindingClient{s}, Templates: templateClient{s}}
	for _, e := range edit {
		e(&options)
	}
	intake, err := feedback.New(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- intake.Run(ctx) }()
	return intake, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
		time.Sleep(time.Minute) // the queue's own goroutines end with their next tick
	}
}

// bindingOf returns a decision for the Deployment web: two replicas each.
func bindingOf(members ...string) *workv1alpha1.ResourceBinding {
	binding := &workv1alpha1.ResourceBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: web.Namespace, Name: web.Name, UID: "b", Generation: 1},
		Spec: workv1alpha1.BindingSpec{
			Resource: workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "ns", Name: "web", UID: "u1"},
			Replicas: int32(2 * len(members)),
		},
	}
	for _, member := range members {
		binding.Spec.Clusters = append(binding.Spec.Clusters, workv1alpha1.TargetCluster{Name: member, Replicas: 2})
	}
	return binding
}

func deploymentOf(replicas int64) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": "web", "namespace": "ns", "uid": "u1", "generation": int64(1)},
		"spec":     map[string]any{"replicas": replicas, "progressDeadlineSeconds": int64(600)},
	}}
}

// ready is a report of a member in which n of two replicas are ready.
func ready(n int) workv1alpha1.FeedbackItem {
	return workv1alpha1.FeedbackItem{
		Name: web.Name, TemplateUID: "u1", BindingGeneration: 1, TemplateGeneration: 1, Applied: true,
		AppliedReason: workv1alpha1.AppliedReasonSuccess, Health: workv1alpha1.ResourceHealthy,
		Status: &runtime.RawExtension{Raw: fmt.Appendf(nil, `{"updatedReplicas":2, "replicas":2,"readyReplicas":%d,"availableReplicas":%d}`, n, n)},
	}
}

func buried(uid types.UID) workv1alpha1.FeedbackItem {
	return workv1alpha1.FeedbackItem{Name: web.Name, TemplateUID: uid, Deleted: true}
}

// reasons are the answers in short.
func reasons(results []workv1alpha1.FeedbackResult) []string {
	var out []string
	for _, result := range results {
		if result.Accepted != (result.Reason == workv1alpha1.FeedbackAccepted) {
			out = append(out, fmt.Sprintf("accepted is %t, reason is %s", result.Accepted, result.Reason))
			continue
		}
		out = append(out, result.Reason)
	}
	return out
}

func readyReplicas(template *unstructured.Unstructured) int64 {
	n, _, _ := unstructured.NestedInt64(template.Object, "status", "readyReplicas")
	return n
}
