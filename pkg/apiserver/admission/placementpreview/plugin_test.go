// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placementpreview

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/kubernetes"
	kubefake "k8s.io/client-go/kubernetes/fake"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install" // registers the kinds
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // registers the kinds

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
)

// recorder keeps warnings.
type recorder struct{ texts []string }

func (r *recorder) AddWarning(_, text string) { r.texts = append(r.texts, text) }

// member is ready, with room for some Pods.
func member(name, env string, pods int64) *clusterv1alpha1.Cluster {
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"env": env}}}
	cluster.Status = clusterv1alpha1.ClusterStatus{
		Conditions: []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: metav1.ConditionTrue}},
		APIEnablements: []clusterv1alpha1.APIEnablement{
			{GroupVersion: "v1", Resources: []clusterv1alpha1.APIResource{{Name: "configmaps", Kind: "ConfigMap"}}},
			{GroupVersion: "argoproj.io/v1alpha1", Resources: []clusterv1alpha1.APIResource{{Name: "rollouts", Kind: "Rollout"}}},
			{GroupVersion: "apps/v1", Resources: []clusterv1alpha1.APIResource{{Name: "deployments", Kind: "Deployment"}}},
		},
		Capacity: &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{{
			Name: "all", Nodes: 1,
			Free: []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(pods, resource.DecimalSI)}}},
		}}},
	}
	return cluster
}

func automatic() *policyv1alpha1.ClusterPropagationPolicy {
	p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: wellknown.DefaultPolicyName}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: policyv1alpha1.AnyResource, Kind: policyv1alpha1.AnyResource}}
	p.Spec.Placement.Auto = &policyv1alpha1.AutoPlacement{}
	return p
}

// inProduction is a policy of namespace shop for its ConfigMaps.
func inProduction() *policyv1alpha1.PropagationPolicy {
	p := &policyv1alpha1.PropagationPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "prod"}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "v1", Kind: "ConfigMap"}}
	p.Spec.Placement.ClusterAffinity = &policyv1alpha1.ClusterAffinity{LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"env": "prod"}}}
	return p
}

func workloadOn(clusters ...string) *workv1alpha1.ResourceBinding {
	b := &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api-deployment", UID: "b1"}}
	b.Spec.Resource = workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "api"}
	for _, name := range clusters {
		b.Spec.Clusters = append(b.Spec.Clusters, workv1alpha1.TargetCluster{Name: name, Replicas: 1})
	}
	return b
}

func deployment(replicas int32) runtime.Object {
	d := &apps.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u1"}}
	d.Spec.Replicas = replicas
	d.Spec.Template.Spec.Containers = []core.Container{{Name: "c", Image: "nginx"}}
	return d
}

func configMap() runtime.Object {
	return &core.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u1"}}
}

// attributes are those of a request to create an object.
func attributes(object runtime.Object, kind schema.GroupVersionKind, resource, subresource string, dryRun bool) admission.Attributes {
	accessor := object.(metav1.Object)
	return admission.NewAttributesRecord(object, nil, kind, accessor.GetNamespace(), accessor.GetName(), kind.GroupVersion().WithResource(resource), subresource,
		admission.Create, &metav1.CreateOptions{}, dryRun, nil)
}

var (
	deployments = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	configMaps  = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
)

// interfaces convert between versions of native kinds.
var interfaces = admission.NewObjectInterfacesFromScheme(legacyscheme.Scheme)

// rig is a plugin that runs over a fleet.
func rig(ctx context.Context, objects ...runtime.Object) (*Plugin, *fleetfake.Clientset) {
	client := fleetfake.NewClientset(objects...)
	fleet := NewFleet()
	fleet.Connect(client)
	go fleet.Run(ctx)
	p := New(fleet)
	p.SetExternalKubeClientSet(kubefake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "hinted", Annotations: map[string]string{wellknown.AnnotationClusters: "env=prod"},
	}}))
	return p, client
}

func validate(t *testing.T, p *Plugin, a admission.Attributes) []string {
	t.Helper()
	warnings := &recorder{}
	if err := p.Validate(warning.WithWarningRecorder(t.Context(), warnings), a, interfaces); err != nil {
		t.Errorf("Validate(...): unexpected error: %v", err)
	}
	return warnings.texts
}

func TestValidate(t *testing.T) {
	fleet := []runtime.Object{member("berlin", "prod", 30), member("paris", "dev", 10), automatic(), inProduction()}
	hinted := deployment(3)
	hinted.(*apps.Deployment).Namespace = "hinted"
	custom := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"namespace": "shop", "name": "w", "uid": "u1"},
	}}
	rollout := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": map[string]any{"namespace": "shop", "name": "r", "uid": "u1"},
		"spec": map[string]any{"replicas": int64(4), "template": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "nginx"}}}}},
	}}
	event := &core.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	cases := map[string]struct {
		reason string
		fleet  []runtime.Object
		ask    admission.Attributes
		want   []string
	}{
		"Divided":   {reason: "Members with their replicas, and the policy.", fleet: fleet, ask: attributes(deployment(4), deployments, "deployments", "", true), want: []string{"placement: on berlin (3 replicas), paris (1 replica), by ClusterPropagationPolicy fleet-default"}},
		"Hinted":    {reason: "Hints of the namespace count.", fleet: fleet, ask: attributes(hinted, deployments, "deployments", "", true), want: []string{"placement: on berlin (3 replicas), by ClusterPropagationPolicy fleet-default"}},
		"Policy":    {reason: "Policies of the namespace win.", fleet: fleet, ask: attributes(configMap(), configMaps, "configmaps", "", true), want: []string{"placement: on berlin, by PropagationPolicy prod"}},
		"Footprint": {reason: "Configuration follows workloads.", fleet: []runtime.Object{member("paris", "dev", 10), automatic(), workloadOn("paris")}, ask: attributes(configMap(), configMaps, "configmaps", "", true), want: []string{"placement: on paris, by ClusterPropagationPolicy fleet-default"}},
		"Nowhere":   {reason: "Why there is no placement yet.", fleet: []runtime.Object{member("paris", "dev", 10), automatic()}, ask: attributes(configMap(), configMaps, "configmaps", "", true), want: []string{"placement: on no member: its namespace has no workload"}},
		"NoFit":     {reason: "Why no member takes it.", fleet: fleet, ask: attributes(custom, custom.GroupVersionKind(), "widgets", "", true), want: []string{"placement: on no member: 0/2 clusters are available: 2 did not serve the API of the resource"}},
		"Custom":    {reason: "Custom resources are placed by what customizations say of them.", fleet: fleet, ask: attributes(rollout, rollout.GroupVersionKind(), "rollouts", "", true), want: []string{"placement: on berlin (3 replicas), paris (1 replica), by ClusterPropagationPolicy fleet-default"}},
		"NoPolicy":  {reason: "Nobody says where.", fleet: []runtime.Object{member("paris", "dev", 10)}, ask: attributes(deployment(1), deployments, "deployments", "", true), want: []string{"placement: on no member: no policy matches"}},
		"Real":      {reason: "A request that is no dry run is left alone.", fleet: fleet, ask: attributes(deployment(4), deployments, "deployments", "", false)},
		"Scale":     {reason: "A subresource is not the object.", fleet: fleet, ask: attributes(deployment(4), deployments, "deployments", "scale", true)},
		"Event":     {reason: "What never travels has no placement.", fleet: fleet, ask: attributes(event, schema.GroupVersionKind{Version: "v1", Kind: "Event"}, "events", "", true)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p, _ := rig(t.Context(), tc.fleet...)
			if diff := cmp.Diff(tc.want, validate(t, p, tc.ask)); diff != "" {
				t.Errorf("\n%s\nwarnings: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestFailuresAreWarnings: whatever is wrong with the preview, the dry run goes on.
func TestFailuresAreWarnings(t *testing.T) {
	cases := map[string]struct {
		reason  string
		stopped bool // the server does not run
		fail    string
		want    string
	}{
		"Slow":     {reason: "What takes too long is given up.", stopped: true, want: "placement: not known: "},
		"Bindings": {reason: "Bindings cannot be read.", fail: "resourcebindings", want: "placement: not known: list bindings: no"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer synctest.Wait()
				defer stop()
				if tc.stopped {
					stop()
				}
				p, client := rig(ctx, member("berlin", "prod", 30), automatic())
				synctest.Wait()
				if tc.fail != "" {
					client.PrependReactor("list", tc.fail, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("no") })
				}
				start := time.Now()
				got := validate(t, p, attributes(deployment(4), deployments, "deployments", "", true))
				if len(got) != 1 || !strings.HasPrefix(got[0], tc.want) {
					t.Errorf("\n%s\nwarnings: want %q, got %q", tc.reason, tc.want, got)
				}
				if took := time.Since(start); took > patience || tc.stopped && took != patience {
					t.Errorf("\n%s\nit took %s", tc.reason, took)
				}
			})
		})
	}
}

// slowClient answers nothing until then, whatever context it is asked with.
type slowClient struct {
	kubernetes.Interface
	until chan struct{}
}

func (c slowClient) CoreV1() corev1client.CoreV1Interface {
	<-c.until
	return c.Interface.CoreV1()
}

// TestBusy: so many previews are made at the same time, one more is not begun; those
// that were given up count until they end.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		p, _ := rig(ctx, member("berlin", "prod", 30), automatic())
		ended := make(chan struct{})
		end := sync.OnceFunc(func() { close(ended) })
		defer end()
		p.SetExternalKubeClientSet(slowClient{Interface: p.kubeClient, until: ended})
		ask := attributes(deployment(4), deployments, "deployments", "", true)
		var asking sync.WaitGroup
		for range atOnce {
			asking.Go(func() { validate(t, p, ask) })
		}
		steps := []struct {
			reason string
			before func()
			want   string
		}{
			{reason: "Enough are being made.", before: synctest.Wait, want: "placement: not known: busy with other previews"},
			{reason: "They were given up and have not ended.", before: asking.Wait, want: "placement: not known: busy with other previews"},
			{reason: "They have.", before: func() { end(); synctest.Wait() }, want: "placement: on berlin (4 replicas), by ClusterPropagationPolicy fleet-default"},
		}
		for _, step := range steps {
			step.before()
			start := time.Now()
			if diff := cmp.Diff([]string{step.want}, validate(t, p, ask)); diff != "" {
				t.Errorf("\n%s\nwarnings: -want, +got:\n%s", step.reason, diff)
			}
			if took := time.Since(start); took > 0 {
				t.Errorf("\n%s\nit took %s", step.reason, took)
			}
		}
	})
}

// TestPanic: a defect of the preview is a warning, and does not end the server.
func TestPanic(t *testing.T) {
	p, client := rig(t.Context(), member("berlin", "prod", 30), automatic())
	client.PrependReactor("list", "resourcebindings", func(clienttesting.Action) (bool, runtime.Object, error) { panic("a defect") })
	want := []string{"placement: not known: the preview failed"}
	if diff := cmp.Diff(want, validate(t, p, attributes(deployment(4), deployments, "deployments", "", true))); diff != "" {
		t.Errorf("warnings: -want, +got:\n%s", diff)
	}
}

// TestTargetIsACopy: the object of a request changes while a preview that was given up
// still reads it.
func TestTargetIsACopy(t *testing.T) {
	widget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget", "metadata": map[string]any{"namespace": "shop", "name": "w"},
		"spec": map[string]any{"size": int64(1)},
	}}
	want := widget.DeepCopy()
	got, err := targetOf(attributes(widget, widget.GroupVersionKind(), "widgets", "", true), interfaces)
	if err != nil {
		t.Fatalf("targetOf(...): unexpected error: %v", err)
	}
	widget.SetResourceVersion("1")
	widget.Object["spec"].(map[string]any)["size"] = int64(2)
	if diff := cmp.Diff(want, got.object); diff != "" {
		t.Errorf("targetOf(...): -want, +got:\n%s", diff)
	}
}

// TestWatchesAreLazy: nothing is watched before the first dry run, nor long after the
// last, and the next one has it watched again.
func TestWatchesAreLazy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		p, client := rig(ctx, member("berlin", "prod", 30), automatic())
		ask := attributes(deployment(4), deployments, "deployments", "", true)
		want := []string{"placement: on berlin (4 replicas), by ClusterPropagationPolicy fleet-default"}
		synctest.Wait()
		if got := watches(client); got != 0 {
			t.Errorf("watches before the first dry run: want none, got %d", got)
		}
		for range 2 {
			if diff := cmp.Diff(want, validate(t, p, ask)); diff != "" {
				t.Errorf("warnings: -want, +got:\n%s", diff)
			}
			time.Sleep(idle - time.Second)
			validate(t, p, ask)
			if got := watches(client); got != 6 {
				t.Errorf("watches while there are dry runs: want one per kind, got %d", got)
			}
			time.Sleep(idle + time.Second)
			synctest.Wait()
			if p.fleet.view != nil {
				t.Error("members are known though nobody asks any more")
			}
			client.ClearActions()
		}
	})
}

func watches(client *fleetfake.Clientset) (n int) {
	for _, action := range client.Actions() {
		if action.GetVerb() == "watch" {
			n++
		}
	}
	return n
}

func TestManyMembersAreCounted(t *testing.T) {
	var clusters []workv1alpha1.TargetCluster
	for i := range maxNamed + 5 {
		clusters = append(clusters, workv1alpha1.TargetCluster{Name: fmt.Sprintf("m%d", i)})
	}
	got := members(clusters)
	if !strings.HasSuffix(got, "m19, and 5 more") {
		t.Errorf("members(...): want the first %d and a count, got %q", maxNamed, got)
	}
}

func TestInitialization(t *testing.T) {
	if err := New(NewFleet()).ValidateInitialization(); err == nil {
		t.Error("ValidateInitialization() without a client: want an error")
	}
}
