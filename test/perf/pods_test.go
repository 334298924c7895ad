// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const (
	// manyPods are listed, through the fleet from three members, and from one.
	manyPods = 5000
	// lists and execs are how often each is done, the ways in turn.
	lists, execs = 15, 60
	// podsTimeout bounds the time until the fleet shows all Pods.
	podsTimeout = 2 * time.Minute
)

// podsReport is what TestBenchPods measured, in milliseconds.
type podsReport struct {
	Pods int `json:"pods"`
	// Fleet and Plain are by what was done.
	Fleet map[string]*latency `json:"fleet"`
	Plain map[string]*latency `json:"plain"`
}

// What is measured, with the ratio that is wanted at most.
var podsMeasures = []struct {
	what   string
	target float64
}{
	{"kubectl get pods", 1.5},
	{"list as a table", 1.5},
	{"list, protobuf", 1.5},
	{"exec, member that is dialed", 2},
	{"exec, member that dials out", 2},
}

// podsRig is a fleet over three members, one of which dials out.
type podsRig struct {
	kubectl string
	fleet   *testbed.Fleet
	config  *rest.Config
	kube    kubernetes.Interface
	members []*testbed.Member
	configs []*rest.Config
	direct  []kubernetes.Interface
}

// TestBenchPods compares lists of Pods and commands in them on the fleet with the same on
// a member. Pods that are listed wait for a scheduler that does not exist, so that they do
// not take the machine's time.
func TestBenchPods(t *testing.T) {
	r, out := newPodsRig(t)
	report := podsReport{Pods: manyPods, Fleet: map[string]*latency{}, Plain: map[string]*latency{}}
	r.makePods(t)
	r.measureLists(t, &report)
	r.measureExecs(t, &report)
	if err := report.write(out); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.markdown())
}

func newPodsRig(t *testing.T) (*podsRig, string) {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{
		Dir: filepath.Join(repo, "_run", "bench-pods"), Bin: filepath.Join(repo, "_bin"), Report: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(bed.Stop(context.WithoutCancel(t.Context())), bed.Close()); err != nil {
			t.Error(err)
		}
	})
	r := &podsRig{kubectl: filepath.Join(repo, "_bin", "kubectl")}
	if r.fleet, err = bed.StartFleet(t.Context(), testbed.FleetConfig{Args: []string{"--embedded-etcd-unsafe-no-fsync"}}); err != nil {
		t.Fatal(err)
	}
	if r.config, r.kube, err = clientOf(r.fleet.RESTConfig); err != nil {
		t.Fatal(err)
	}
	for _, config := range []testbed.MemberConfig{{Name: "one"}, {Name: "two"}, {Name: "three", DialsOut: true}} {
		m, err := bed.StartMember(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		direct, kube, err := clientOf(m.RESTConfig)
		if err == nil {
			err = r.fleet.Join(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.members, r.configs, r.direct = append(r.members, m), append(r.configs, direct), append(r.direct, kube)
	}
	if err := r.fleet.AwaitReady(t.Context(), r.members...); err != nil {
		t.Fatal(err)
	}
	return r, filepath.Join(repo, "_run", "bench")
}

func clientOf(read func() (*rest.Config, error)) (*rest.Config, kubernetes.Interface, error) {
	config, err := read()
	if err != nil {
		return nil, nil, err
	}
	kube, err := kubernetes.NewForConfig(config)
	return config, kube, err
}

// makePods makes as many Pods in the three members together, in namespace many, as in the
// first alone, in namespace plain.
func (r *podsRig) makePods(t *testing.T) {
	t.Helper()
	for i, kube := range r.direct {
		r.makePodsIn(t, kube, "many", manyPods*i/3, manyPods*(i+1)/3)
	}
	r.makePodsIn(t, r.direct[0], "plain", 0, manyPods)
	err := wait.PollUntilContextTimeout(t.Context(), time.Second, podsTimeout, true, func(ctx context.Context) (bool, error) {
		shown, err := r.kube.CoreV1().Pods("many").List(ctx, metav1.ListOptions{})
		return err == nil && len(shown.Items) == manyPods, nil
	})
	if err != nil {
		t.Fatalf("wait for %d Pods in the fleet: %v", manyPods, err)
	}
}

func (r *podsRig) makePodsIn(t *testing.T, kube kubernetes.Interface, namespace string, from, to int) {
	t.Helper()
	if _, err := kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(concurrency)
	for n := from; n < to; n++ {
		group.Go(func() error {
			return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, stepTimeout, true, func(ctx context.Context) (bool, error) {
				_, err := kube.CoreV1().Pods(namespace).Create(ctx, waitingPod(n), metav1.CreateOptions{})
				if apierrors.IsForbidden(err) {
					return false, nil // the default ServiceAccount is to come
				}
				return err == nil, err
			})
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// waitingPod is a Pod of the fleet that nobody schedules.
func waitingPod(n int) *corev1.Pod {
	container := corev1.Container{
		Name: "web", Image: imageOne, Env: []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "NUMBER", Value: fmt.Sprint(n)}},
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:   fmt.Sprintf("web-5d8f9c7b6d-%05d", n),
			Labels: map[string]string{"app": "web", appsv1.DefaultDeploymentUniqueLabelKey: "5d8f9c7b6d", wellknown.LabelTemplate: "7c9f8d6b5"},
		},
		Spec: corev1.PodSpec{SchedulerName: "nobody", Containers: []corev1.Container{container}},
	}
}

// measureLists lists all Pods in three ways, from the fleet and from a member in turn.
func (r *podsRig) measureLists(t *testing.T, out *podsReport) {
	t.Helper()
	table := "application/json;as=Table;v=v1;g=meta.k8s.io"
	for range lists {
		for _, one := range []struct {
			into                  map[string]*latency
			kube                  kubernetes.Interface
			kubeconfig, namespace string
		}{
			{out.Fleet, r.kube, r.fleet.Kubeconfig(), "many"},
			{out.Plain, r.direct[0], r.members[0].Kubeconfig(), "plain"},
		} {
			measure(t, one.into, "kubectl get pods", func() error {
				listed, err := exec.CommandContext(t.Context(), r.kubectl, "--kubeconfig", one.kubeconfig, "get", "pods", "-n", one.namespace).Output() //nolint:gosec // kubectl
				if lines := strings.Count(string(listed), "\n"); err == nil && lines != manyPods+1 {
					err = fmt.Errorf("it listed %d lines", lines)
				}
				return err
			})
			for what, accept := range map[string]string{"list as a table": table, "list, protobuf": "application/vnd.kubernetes.protobuf"} {
				measure(t, one.into, what, func() error {
					return one.kube.CoreV1().RESTClient().Get().Namespace(one.namespace).Resource("pods").SetHeader("Accept", accept).Do(t.Context()).Error()
				})
			}
		}
	}
}

func measure(t *testing.T, into map[string]*latency, what string, do func() error) {
	t.Helper()
	began := time.Now()
	if err := do(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if into[what] == nil {
		into[what] = &latency{}
	}
	into[what].add(float64(time.Since(began).Microseconds()) / 1000)
}

// measureExecs runs a command in Pods of a member that is dialed and of one that dials
// out, through the fleet and directly in turn.
func (r *podsRig) measureExecs(t *testing.T, out *podsReport) {
	t.Helper()
	const namespace = "entered"
	if _, err := r.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app": "entered"}
	if _, err := r.kube.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "entered", Annotations: map[string]string{wellknown.AnnotationPlacement: "duplicated"}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: imageOne}}},
			},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	members := map[string]int{"exec, member that is dialed": 0, "exec, member that dials out": 2}
	pods := map[string]string{}
	for what, at := range members {
		pods[what] = r.runningPod(t, namespace, r.members[at].Name())
	}
	for range execs {
		for what, at := range members {
			measure(t, out.Fleet, what, func() error { return execIn(t.Context(), r.config, r.kube, namespace, pods[what]) })
			measure(t, out.Plain, what, func() error { return execIn(t.Context(), r.configs[at], r.direct[at], namespace, pods[what]) })
		}
	}
}

// runningPod waits for a Pod of a member to run and returns its name.
func (r *podsRig) runningPod(t *testing.T, namespace, member string) string {
	t.Helper()
	name := ""
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, stepTimeout, true, func(ctx context.Context) (bool, error) {
		pods, err := r.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: wellknown.LabelCluster + "=" + member})
		if err != nil {
			return false, err
		}
		for i := range pods.Items {
			if pods.Items[i].Status.Phase == corev1.PodRunning {
				name = pods.Items[i].Name
			}
		}
		return name != "", nil
	})
	if err != nil {
		t.Fatalf("wait for a Pod of %s: %v", member, err)
	}
	return name
}

// execIn runs a command in a Pod and checks what it prints.
func execIn(ctx context.Context, config *rest.Config, kube kubernetes.Interface, namespace, pod string) error {
	request := kube.CoreV1().RESTClient().Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"echo", "here"}, Stdout: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, request.URL().String())
	if err != nil {
		return err
	}
	var printed strings.Builder
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: io.Writer(&printed)}); err != nil {
		return err
	}
	if printed.String() != "here\n" {
		return fmt.Errorf("it printed %q", printed.String())
	}
	return nil
}

func (r *podsReport) markdown() string {
	out := fmt.Sprintf("%d Pods in three members, shown by the fleet, and as many in one member; commands in Pods. Milliseconds, in turn in one run:\n\n"+
		"| what | n | fleet p50 | plain p50 | fleet p90 | plain p90 | ratio of p50 | wanted | met |\n|---|---|---|---|---|---|---|---|---|\n", r.Pods)
	for _, m := range podsMeasures {
		fleet, plain := r.Fleet[m.what], r.Plain[m.what]
		ratio := fleet.P50 / plain.P50
		met := "yes"
		if ratio > m.target {
			met = "no"
		}
		out += fmt.Sprintf("| %s | %d | %.1f | %.1f | %.1f | %.1f | %.2f | ≤ %.1f | %s |\n", m.what, fleet.N, fleet.P50, plain.P50, fleet.P90, plain.P90, ratio, m.target, met)
	}
	return out
}

func (r *podsReport) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // holds reports
		return err
	}
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "pods.json"), append(raw, '\n'), 0o644),  //nolint:gosec // a report
		os.WriteFile(filepath.Join(dir, "pods.md"), []byte(r.markdown()), 0o644), //nolint:gosec // a report
	)
}
