// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// harness is a scheduler over a fleet in memory.
type harness struct {
	*Scheduler
	t        testing.TB
	ctx      context.Context
	fleet    *fakeTemplates
	store    *fakeBindings
	clusters *fakeClusters
	events   *events.FakeRecorder
	uids     int
}

// inBubble runs a test on a harness with time that passes only when everybody
// waits.
func inBubble(t *testing.T, test func(h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		defer h.queue.ShutDown()
		test(h)
	})
}

func newHarness(tb testing.TB) *harness {
	tb.Helper()
	s, err := newScheduler(Config{})
	if err != nil {
		tb.Fatal(err)
	}
	h := &harness{
		Scheduler: s,
		t:         tb,
		ctx:       tb.Context(),
		fleet:     &fakeTemplates{templates: map[template.Key]*template.Template{}, crds: map[schema.GroupKind]source.Kind{}},
		store:     &fakeBindings{bindings: map[string]workv1alpha1.Binding{}},
		clusters:  &fakeClusters{clusters: map[string]*clusterv1alpha1.Cluster{}},
		events:    events.NewFakeRecorder(1000),
	}
	s.templates, s.bindings, s.members, s.recorder = h.fleet, h.store, h.clusters, h.events
	return h
}

// settle decides until there is nothing left to decide, backoffs included, and
// returns how often it decided about what.
func (h *harness) settle() (decided map[string]int) {
	h.t.Helper()
	decided = map[string]int{}
	for {
		for h.queue.Len() > 0 {
			key, _ := h.queue.Get()
			decided[key.Name]++
			h.schedule(h.ctx, key)
			synctest.Wait()
		}
		h.store.deliver(h)
		time.Sleep(time.Second)
		synctest.Wait()
		if h.queue.Len() == 0 {
			return decided
		}
	}
}

// autoPolicy creates the zero-policy default.
func (h *harness) autoPolicy() {
	p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: wellknown.DefaultPolicyName, UID: "default-policy"}}
	p.Spec.Priority = -1
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: policy.Any, Kind: policy.Any}}
	p.Spec.Placement.Auto = &policyv1alpha1.AutoPlacement{}
	h.setPropagation(h.ctx, p)
}

// clusterPolicy creates a cluster policy for the kind.
func (h *harness) clusterPolicy(name, apiVersion, kind string, placement policyv1alpha1.Placement) {
	p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: apiVersion, Kind: kind}}
	p.Spec.Placement = placement
	h.setPropagation(h.ctx, p)
}

type memberOption func(*clusterv1alpha1.Cluster)

func notReady(c *clusterv1alpha1.Cluster) { c.Status.Conditions[0].Status = metav1.ConditionFalse }

func labelled(key, value string) memberOption {
	return func(c *clusterv1alpha1.Cluster) { c.Labels = map[string]string{key: value} }
}

func region(name string) memberOption {
	return func(c *clusterv1alpha1.Cluster) { c.Spec.Region = name }
}

func tainted(key string) memberOption {
	return func(c *clusterv1alpha1.Cluster) {
		c.Spec.Taints = []corev1.Taint{{Key: key, Effect: corev1.TaintEffectNoSchedule}}
	}
}

func leaving(c *clusterv1alpha1.Cluster) { c.DeletionTimestamp = new(metav1.Now()) }

// pods sets how many Pods are free.
func pods(n int64) memberOption {
	return func(c *clusterv1alpha1.Cluster) {
		c.Status.Capacity.Classes[0].Free[0].Resources[corev1.ResourcePods] = *resource.NewQuantity(n, resource.DecimalSI)
	}
}

// nativeAPIs is what every member of the harness serves.
var nativeAPIs = func() []clusterv1alpha1.APIEnablement {
	byVersion := map[string][]clusterv1alpha1.APIResource{}
	for kind := range scheme.Scheme.AllKnownTypes() {
		version := kind.GroupVersion().String()
		byVersion[version] = append(byVersion[version], clusterv1alpha1.APIResource{Name: strings.ToLower(kind.Kind) + "s", Kind: kind.Kind})
	}
	byVersion["apiextensions.k8s.io/v1"] = []clusterv1alpha1.APIResource{{Name: "customresourcedefinitions", Kind: "CustomResourceDefinition"}}
	var out []clusterv1alpha1.APIEnablement
	for version, resources := range byVersion {
		out = append(out, clusterv1alpha1.APIEnablement{GroupVersion: version, Resources: resources})
	}
	return out
}()

// member joins a member that is ready, with room for 100 Pods, or changes it.
func (h *harness) member(name string, options ...memberOption) {
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
	cluster.Status = clusterv1alpha1.ClusterStatus{
		Conditions:     []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: metav1.ConditionTrue}},
		APIEnablements: nativeAPIs,
		Capacity: &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{{
			Name: "all", Nodes: 1, Labels: map[string]string{"kubernetes.io/os": "linux"},
			Free: []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: corev1.ResourceList{
				corev1.ResourceCPU:    resource.MustParse("64"),
				corev1.ResourceMemory: resource.MustParse("256Gi"),
			}}},
		}}},
	}
	pods(100)(cluster)
	for _, option := range options {
		option(cluster)
	}
	h.clusters.clusters[name] = cluster
	h.setMember(cluster)
}

// unjoined removes a member without a trace.
func (h *harness) unjoined(name string) {
	cluster := h.clusters.clusters[name]
	delete(h.clusters.clusters, name)
	h.removeMember(cluster)
}

// create stores a template; one of the same name is changed, unless the uid of
// the object says otherwise.
func (h *harness) create(object interface {
	metav1.Object
	runtime.Object
},
) template.Key {
	h.t.Helper()
	kinds, _, err := scheme.Scheme.ObjectKinds(object)
	if err != nil {
		h.t.Fatal(err)
	}
	kind, _ := h.fleet.Kind(kinds[0].GroupKind())
	var traits template.Traits
	if kind.Read != nil {
		traits = kind.Read(object)
	}
	return h.put(kind.Version, object, traits)
}

// createCustom stores a custom resource.
func (h *harness) createCustom(kind schema.GroupVersionKind, namespace, name string) template.Key {
	return h.put(kind, &metav1.ObjectMeta{Namespace: namespace, Name: name}, template.Traits{})
}

func (h *harness) put(kind schema.GroupVersionKind, object metav1.Object, traits template.Traits) template.Key {
	h.uids++
	object.SetResourceVersion(strconv.Itoa(h.uids))
	key := template.Key{Group: kind.Group, Kind: kind.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}
	before := h.fleet.Get(key)
	if object.GetUID() == "" {
		object.SetUID(types.UID(fmt.Sprintf("uid-%d", h.uids)))
		if before != nil {
			object.SetUID(before.UID)
		}
	}
	after := template.New(kind, object, traits)
	h.fleet.set(key, after)
	h.OnTemplate(before, after)
	return key
}

func (h *harness) delete(key template.Key) {
	before := h.fleet.Get(key)
	h.fleet.set(key, nil)
	h.OnTemplate(before, nil)
}

// clustersOf prints where a template is: "m1=3 m2=3 -m3 ~m4" with tombstones
// that delete and that release, "!m5" with one that is
// being evicted, "!m1=2" with one that some are to leave, "+m6" with one where others need it.
func (h *harness) clustersOf(key template.Key) string {
	binding := h.store.of(key)
	if binding == nil {
		return "none"
	}
	var out []string
	for _, cluster := range binding.GetSpec().Clusters {
		text := cluster.Name
		if cluster.Replicas > 0 {
			text += "=" + strconv.Itoa(int(cluster.Replicas))
		}
		out = append(out, text)
	}
	for _, snapshot := range binding.GetSpec().RequiredBy {
		for _, cluster := range snapshot.Clusters {
			out = append(out, "+"+cluster.Name)
		}
	}
	for _, task := range binding.GetSpec().GracefulEvictionTasks {
		text := "!" + task.FromCluster
		if task.Replicas != nil && listed(binding.GetSpec().Clusters, task.FromCluster) {
			text += "=" + strconv.Itoa(int(*task.Replicas))
		}
		out = append(out, text)
	}
	for _, tombstone := range binding.GetSpec().Tombstones {
		sign := "-"
		if tombstone.Orphan {
			sign = "~"
		}
		out = append(out, sign+tombstone.ClusterName)
	}
	return strings.Join(out, " ")
}

func (h *harness) want(key template.Key, want, reason string) {
	h.t.Helper()
	if got := h.clustersOf(key); got != want {
		h.t.Errorf("\n%s\n%s: want on %q, got %q", reason, key, want, got)
	}
}

func (h *harness) wantWrites(want int, reason string) {
	h.t.Helper()
	if got := h.store.takeWrites(); got != want {
		h.t.Errorf("\n%s\nwrites: want %d, got %d", reason, want, got)
	}
}

// podSpec is a Pod that asks for nothing.
func podSpec() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "nginx"}}}
}

func mounting(claim string) corev1.PodSpec {
	spec := podSpec()
	spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}}
	return spec
}

func deployment(name string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Template: corev1.PodTemplateSpec{Spec: podSpec()}},
	}
}

func job(name string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: podSpec()}},
	}
}

func statefulSet(name string, replicas int32) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       appsv1.StatefulSetSpec{Replicas: &replicas, Template: corev1.PodTemplateSpec{Spec: podSpec()}},
	}
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
}

// fakeTemplates is a fleet's templates in memory.
type fakeTemplates struct {
	mu        sync.Mutex
	templates map[template.Key]*template.Template
	crds      map[schema.GroupKind]source.Kind
	unserved  map[schema.GroupKind]bool
	unlisted  map[schema.GroupKind]bool
	live      *metav1.ObjectMeta // what Live finds instead, nil for what there is
	liveErr   error
}

var _ templates = &fakeTemplates{}

func (f *fakeTemplates) set(key template.Key, t *template.Template) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t == nil {
		delete(f.templates, key)
		return
	}
	f.templates[key] = t
}

// define serves a kind as if its CustomResourceDefinition was established.
func (f *fakeTemplates) define(kind schema.GroupVersionKind, plural string, namespaced bool) {
	f.crds[kind.GroupKind()] = source.Kind{
		Kind: template.KindOf(kind, namespaced, true), Version: kind,
		Resource: kind.GroupVersion().WithResource(plural), Namespaced: namespaced, Custom: true,
	}
}

func (f *fakeTemplates) Get(key template.Key) *template.Template {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.templates[key]
}

func (f *fakeTemplates) Kind(kind schema.GroupKind) (source.Kind, bool) {
	if f.unserved[kind] {
		return source.Kind{}, false
	}
	if defined, ok := f.crds[kind]; ok {
		return defined, true
	}
	clusterScoped := []string{"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PriorityClass", "StorageClass", "PersistentVolume"}
	version := schema.GroupVersion{Group: kind.Group, Version: "v1"}
	if kind.Group == "autoscaling" {
		version.Version = "v2"
	}
	namespaced := !slices.Contains(clusterScoped, kind.Kind)
	known := version.WithKind(kind.Kind)
	return source.Kind{Kind: template.KindOf(known, namespaced, false), Version: known, Namespaced: namespaced}, true
}

func (f *fakeTemplates) Listed(kind schema.GroupKind) bool { return !f.unlisted[kind] }

func (f *fakeTemplates) InNamespace(namespace string) []*template.Template {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*template.Template
	for key, t := range f.templates {
		if key.Namespace == namespace {
			out = append(out, t)
		}
	}
	return out
}

func (f *fakeTemplates) Matching(selectors []policy.Selector) map[template.Key]*template.Template {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[template.Key]*template.Template{}
	for key, t := range f.templates {
		if slices.ContainsFunc(selectors, func(s policy.Selector) bool { return s.Matches(t) }) {
			out[key] = t
		}
	}
	return out
}

func (f *fakeTemplates) Live(_ context.Context, key template.Key) (*metav1.PartialObjectMetadata, error) {
	if f.liveErr != nil {
		return nil, f.liveErr
	}
	if f.live != nil {
		return &metav1.PartialObjectMetadata{ObjectMeta: *f.live}, nil
	}
	t := f.Get(key)
	if t == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: key.Group, Resource: key.Kind}, key.Name)
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: t.ObjectMeta}, nil
}

// policyRef names the zero-policy default.
func policyRef() policy.Ref { return policy.Ref{Name: wellknown.DefaultPolicyName} }
