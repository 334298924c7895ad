// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/e2e/witness"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/suite"
	"fleet.dev/fleet/test/testbed/toolchain"
)

var period = flag.Duration("period", 10*time.Minute, "how long the managers act")

const (
	// patience is how long something may take before the test fails.
	patience = 2 * time.Minute
	// injectEvery, labelEvery, loadEvery and tamperEvery are the times between two writes of
	// each manager. What is tampered with lasts a minute at least, so that it is no dispute.
	injectEvery = 7 * time.Second
	labelEvery  = 11 * time.Second
	loadEvery   = 45 * time.Second
	tamperEvery = 75 * time.Second
)

// Names of what there is.
const (
	namespace  = "managers"
	memberName = "member1"
	injector   = "mesh-injector"
	labeller   = "labeller"
)

var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	autoscalers = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
)

// stage is a fleet with a member that logs every write.
type stage struct {
	fleet, member               kubernetes.Interface
	fleetObjects, memberObjects dynamic.Interface
	audit                       witness.AuditLog
	meter                       *meter
}

func setUp(t *testing.T) *stage {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(repo, "_run", "long-managers")
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{Dir: dir, Bin: filepath.Join(repo, "_bin"), Report: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(bed.Stop(context.WithoutCancel(t.Context())), bed.Close()); err != nil {
			t.Errorf("stop the test bed: %v", err)
		}
	})
	policy, log := filepath.Join(dir, "audit-policy.yaml"), filepath.Join(dir, "audit.log")
	if err := errors.Join(witness.WriteAuditPolicy(policy), os.RemoveAll(log)); err != nil {
		t.Fatal(err)
	}
	fleet, err := bed.StartFleet(t.Context(), testbed.FleetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	member, err := bed.StartMember(t.Context(), testbed.MemberConfig{Name: memberName, Flags: map[string][]string{
		"kube-apiserver":          {"--audit-policy-file=" + policy, "--audit-log-path=" + log},
		"kube-controller-manager": {"--horizontal-pod-autoscaler-sync-period=3s"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fleet.Join(t.Context(), member), fleet.AwaitReady(t.Context(), member)); err != nil {
		t.Fatal(err)
	}
	s := &stage{audit: witness.AuditLog{File: log}}
	s.fleet, s.fleetObjects = clients(t, fleet)
	s.member, s.memberObjects = clients(t, member)
	s.meter = serveMetrics(t, s.memberObjects)
	return s
}

// server is what has an API server.
type server interface {
	RESTConfig() (*rest.Config, error)
}

func clients(t *testing.T, of server) (kubernetes.Interface, dynamic.Interface) {
	t.Helper()
	config, err := of.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return kube, objects
}

func create(t *testing.T, objects dynamic.Interface, resource schema.GroupVersionResource, namespace, manifest string) {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.Resource(resource).Namespace(namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create %s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

// eventually fails the test unless check succeeds in time.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	suite.Eventually(t, patience, what, check)
}

const (
	webManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1
        env: [{name: MODE, value: good}]
`
	autoscalerManifest = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 9
  metrics:
  - type: External
    external: {metric: {name: load}, target: {type: AverageValue, averageValue: "10"}}
  behavior:
    scaleUp: {stabilizationWindowSeconds: 0, policies: [{type: Pods, value: 20, periodSeconds: 1}]}
    scaleDown: {stabilizationWindowSeconds: 0, policies: [{type: Pods, value: 20, periodSeconds: 1}]}
`
)

// counts are the writes of each manager.
type counts struct {
	injected, labelled, loads, tamperedWeb, tamperedSettings, scaled int
}

// TestManagers: see the package.
func TestManagers(t *testing.T) {
	s := setUp(t)
	s.place(t)
	s.meter.value.Store(30) // three Pods, as the fleet wants
	create(t, s.memberObjects, autoscalers, namespace, autoscalerManifest)
	s.inject(t, 0)
	s.label(t, 0)
	s.settle(t, 3)

	mark, err := s.audit.Mark()
	if err != nil {
		t.Fatal(err)
	}
	done := s.act(t)
	s.settle(t, int32(s.meter.value.Load()/10))

	writes, err := s.audit.Since(mark, func(w witness.Write) bool { return w.Namespace == namespace })
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, done, writes)
}

// place stores what the member is to run, and waits until it does.
func (s *stage) place(t *testing.T) {
	t.Helper()
	if _, err := s.fleet.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	create(t, s.fleetObjects, deployments, namespace, webManifest)
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"greeting": "hello"}}
	if _, err := s.fleet.CoreV1().ConfigMaps(namespace).Create(t.Context(), settings, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the workload to run", func(ctx context.Context) error {
		if _, err := s.member.CoreV1().ConfigMaps(namespace).Get(ctx, "settings", metav1.GetOptions{}); err != nil {
			return err
		}
		web, err := s.fleet.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && web.Status.ReadyReplicas != 3 {
			err = fmt.Errorf("%d of 3 Pods are ready", web.Status.ReadyReplicas)
		}
		return err
	})
}

// inject adds a sidecar and an annotation, as a mesh does that injects by apply.
func (s *stage) inject(t *testing.T, n int) {
	t.Helper()
	patch := fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","annotations":{"example.com/injected":"%d"}},
		"spec":{"template":{"spec":{"containers":[{"name":"sidecar","image":"proxy:1"}]}}}}`, n)
	force := false
	_, err := s.member.AppsV1().Deployments(namespace).Patch(t.Context(), "web", types.ApplyPatchType, []byte(patch), metav1.PatchOptions{FieldManager: injector, Force: &force})
	if err != nil {
		t.Errorf("inject: %v", err)
	}
}

// label changes fields of its own on both objects.
func (s *stage) label(t *testing.T, n int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"example.com/cost-centre":"%d"}}}`, n)
	options := metav1.PatchOptions{FieldManager: labeller}
	if _, err := s.member.AppsV1().Deployments(namespace).Patch(t.Context(), "web", types.MergePatchType, patch, options); err != nil {
		t.Errorf("label: %v", err)
	}
	patch = fmt.Appendf(nil, `{"data":{"extra":"%d"}}`, n)
	if _, err := s.member.CoreV1().ConfigMaps(namespace).Patch(t.Context(), "settings", types.MergePatchType, patch, options); err != nil {
		t.Errorf("add data: %v", err)
	}
}

// tamper changes a field that is the fleet's, and waits until that is undone.
func (s *stage) tamper(t *testing.T, n int, done *counts) {
	t.Helper()
	options := metav1.PatchOptions{FieldManager: labeller}
	if n%2 == 0 {
		done.tamperedSettings++
		if _, err := s.member.CoreV1().ConfigMaps(namespace).Patch(t.Context(), "settings", types.MergePatchType, []byte(`{"data":{"greeting":"evil"}}`), options); err != nil {
			t.Errorf("tamper: %v", err)
		}
	} else {
		done.tamperedWeb++
		patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"MODE","value":"evil"}]}]}}}}`)
		if _, err := s.member.AppsV1().Deployments(namespace).Patch(t.Context(), "web", types.StrategicMergePatchType, patch, options); err != nil {
			t.Errorf("tamper: %v", err)
		}
	}
	eventually(t, "what is the fleet's to be put right", func(ctx context.Context) error { return s.ours(ctx) })
}

// ours checks the fields of the fleet.
func (s *stage) ours(ctx context.Context) error {
	settings, err := s.member.CoreV1().ConfigMaps(namespace).Get(ctx, "settings", metav1.GetOptions{})
	if err != nil {
		return err
	}
	web, err := s.member.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	mode := ""
	for _, container := range web.Spec.Template.Spec.Containers {
		if container.Name == "web" && len(container.Env) == 1 {
			mode = container.Env[0].Value
		}
	}
	if settings.Data["greeting"] != "hello" || mode != "good" || web.Labels["tier"] != "front" {
		return fmt.Errorf("greeting is %q, mode %q, tier %q", settings.Data["greeting"], mode, web.Labels["tier"])
	}
	return nil
}

// theirs checks the fields of the others.
func (s *stage) theirs(ctx context.Context, done counts) error {
	settings, err := s.member.CoreV1().ConfigMaps(namespace).Get(ctx, "settings", metav1.GetOptions{})
	if err != nil {
		return err
	}
	web, err := s.member.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	var images []string
	for _, container := range web.Spec.Template.Spec.Containers {
		images = append(images, container.Image)
	}
	got := []string{settings.Data["extra"], web.Labels["example.com/cost-centre"], web.Annotations["example.com/injected"]}
	want := []string{fmt.Sprint(done.labelled), fmt.Sprint(done.labelled), fmt.Sprint(done.injected)}
	if strings.Join(got, " ") != strings.Join(want, " ") || !strings.Contains(strings.Join(images, " "), "proxy:1") {
		return fmt.Errorf("data, label and annotation are %q, want %q; images are %q, want a sidecar's among them", got, want, images)
	}
	return nil
}

// act has all managers act for the period. The user wants another number of replicas
// halfway.
func (s *stage) act(t *testing.T) counts {
	t.Helper()
	var done counts
	inject, label, load, tamper, look := time.NewTicker(injectEvery), time.NewTicker(labelEvery), time.NewTicker(loadEvery), time.NewTicker(tamperEvery), time.NewTicker(time.Second)
	for _, ticker := range []*time.Ticker{inject, label, load, tamper, look} {
		defer ticker.Stop()
	}
	half, end := time.After(*period/2), time.After(*period)
	for {
		select {
		case <-inject.C:
			done.injected++
			s.inject(t, done.injected)
		case <-label.C:
			done.labelled++
			s.label(t, done.labelled)
		case <-load.C:
			done.loads++
			s.meter.value.Store([]int64{60, 90, 20, 50}[done.loads%4])
		case <-tamper.C:
			s.tamper(t, done.tamperedWeb+done.tamperedSettings, &done)
		case <-half:
			done.scaled++
			s.scale(t, 4)
		case <-look.C:
			if err := s.theirs(t.Context(), done); err != nil {
				t.Errorf("fields of others: %v", err)
			}
		case <-end:
			return done
		}
	}
}

// scale is what the user does in the fleet.
func (s *stage) scale(t *testing.T, replicas int32) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	if _, err := s.fleet.AppsV1().Deployments(namespace).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Errorf("scale: %v", err)
	}
}

// settle waits until so many Pods are ready in the member and the fleet knows.
func (s *stage) settle(t *testing.T, replicas int32) {
	t.Helper()
	eventually(t, "the autoscaler's number of Pods", func(ctx context.Context) error {
		web, err := s.member.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if *web.Spec.Replicas != replicas || !rolledOut(web, replicas) {
			return fmt.Errorf("%d are wanted, want %d; status is %+v", *web.Spec.Replicas, replicas, web.Status)
		}
		return nil
	})
}

func rolledOut(web *appsv1.Deployment, replicas int32) bool {
	return web.Status.ObservedGeneration >= web.Generation && web.Status.ReadyReplicas == replicas &&
		web.Status.UpdatedReplicas == replicas && web.Status.Replicas == replicas
}

// check counts.
func (s *stage) check(t *testing.T, done counts, writes []witness.Write) {
	t.Helper()
	of := func(resource string, who func(witness.Write) bool) []witness.Write {
		var out []witness.Write
		for _, w := range writes {
			if w.Resource == resource && who(w) {
				out = append(out, w)
			}
		}
		return out
	}
	byFleet := func(w witness.Write) bool {
		return strings.HasPrefix(w.User, "system:serviceaccount:"+wellknown.NamespaceSystem+":")
	}
	byAutoscaler := func(w witness.Write) bool {
		return w.User == "system:serviceaccount:kube-system:horizontal-pod-autoscaler" && w.Subresource == "scale"
	}
	web, settings, scales := of("deployments", byFleet), of("configmaps", byFleet), of("deployments", byAutoscaler)
	t.Logf("in %s: %d injections, %d labellings, %d loads, %d fields of the Deployment and %d of the ConfigMap changed, scaled by the user %d times;"+
		" the fleet wrote the Deployment %d times and the ConfigMap %d times, the autoscaler scaled %d times",
		*period, done.injected, done.labelled, done.loads, done.tamperedWeb, done.tamperedSettings, done.scaled, len(web), len(settings), len(scales))

	// One correction each. That an autoscaler sets the replicas is noted on the object,
	// once for each number that the user wants.
	if want := done.tamperedWeb + 1 + 2*done.scaled; len(web) > want {
		t.Errorf("the fleet wrote the Deployment %d times, want %d at most:\n%s", len(web), want, witness.Lines(web))
	}
	if want := done.tamperedSettings; len(settings) != want {
		t.Errorf("the fleet wrote the ConfigMap %d times, want %d:\n%s", len(settings), want, witness.Lines(settings))
	}
	if want := done.loads + done.scaled; len(scales) > want {
		t.Errorf("the autoscaler scaled %d times, want once for each load and when the user wanted another number, %d:\n%s", len(scales), want, witness.Lines(scales))
	}
	if len(scales) == 0 && done.loads > 0 {
		t.Error("the autoscaler did not scale, the rest proves nothing")
	}
	if err := errors.Join(s.ours(t.Context()), s.theirs(t.Context(), done)); err != nil {
		t.Errorf("in the end: %v", err)
	}
}
