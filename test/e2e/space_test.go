// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

const (
	// propagation is how long something may take to get from the fleet to the
	// members, or back, before a test gives up. It takes a second; the rest is
	// room for a machine that does other things.
	propagation = 60 * time.Second
	// cleanUp is how long a namespace may take to go, members included.
	cleanUp = 2 * time.Minute
)

// space is a namespace of an API server, made for one test.
type space struct {
	command

	namespace string
	config    *rest.Config
	kube      kubernetes.Interface
}

// newSpace makes a namespace in the fleet. When the test ends it is deleted, and
// the test fails if the fleet or a member keeps it.
func newSpace(t *testing.T) *space {
	t.Helper()
	config, err := bed.fleet.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	s := makeSpace(t, config, bed.fleet.Kubeconfig())
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := s.remove(ctx); err != nil {
			t.Errorf("clean up: %v", err)
			s.dump(ctx, t)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			s.dump(context.WithoutCancel(t.Context()), t)
		}
	})
	return s
}

// newReference makes a namespace in a member, behind the fleet's back: what
// happens in it is what happens in a plain cluster.
func newReference(t *testing.T) *space {
	t.Helper()
	m := bed.members[0]
	config, err := m.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	s := makeSpace(t, config, m.Kubeconfig())
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := s.kube.CoreV1().Namespaces().Delete(ctx, s.namespace, metav1.DeleteOptions{}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return s
}

func makeSpace(t *testing.T, config *rest.Config, kubeconfig string) *space {
	t.Helper()
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	prefix, _, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(t.Name(), "Test")), "/")
	namespace, err := kube.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create namespace: %v", err)
	}
	return &space{command: command{kubeconfig: kubeconfig}, namespace: namespace.Name, config: config, kube: kube}
}

// remove deletes the namespace and waits until it is gone everywhere.
func (s *space) remove(ctx context.Context) error {
	err := s.kube.CoreV1().Namespaces().Delete(ctx, s.namespace, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return await(ctx, cleanUp, func(ctx context.Context) error { return namespaceGone(ctx, s.namespace) })
}

// namespaceGone checks that neither the fleet nor a member has the namespace.
func namespaceGone(ctx context.Context, name string) error {
	fleet, err := fleetKube()
	if err != nil {
		return err
	}
	places := map[string]kubernetes.Interface{"the fleet": fleet}
	for _, m := range bed.members {
		places[m.Name()] = m.memberClient
	}
	for place, kube := range places {
		namespace, err := kube.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return fmt.Errorf("%s has namespace %s, %s: %s", place, name, namespace.Status.Phase, conditions(namespace))
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func conditions(namespace *corev1.Namespace) string {
	var out []string
	for _, c := range namespace.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			out = append(out, c.Message)
		}
	}
	return strings.Join(out, "; ")
}

func fleetKube() (kubernetes.Interface, error) {
	config, err := bed.fleet.RESTConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// fleetAPI is a client for the fleet's own kinds.
func fleetAPI(t *testing.T) fleetclient.Interface {
	t.Helper()
	config, err := bed.fleet.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := fleetclient.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// kubectl runs kubectl in the namespace and returns what it printed. It has to
// succeed.
func (s *space) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, s.command, "kubectl", append([]string{"--namespace", s.namespace}, args...)...)
}

// tryKubectl runs kubectl in the namespace, whatever becomes of it.
func (s *space) tryKubectl(t *testing.T, args ...string) outcome {
	t.Helper()
	return s.run(t, "kubectl", append([]string{"--namespace", s.namespace}, args...)...)
}

// kubectlStdin is kubectl with a manifest on its standard input.
func (s *space) kubectlStdin(t *testing.T, manifest string, args ...string) outcome {
	t.Helper()
	c := s.command
	c.stdin = manifest
	return c.run(t, "kubectl", append([]string{"--namespace", s.namespace}, args...)...)
}

// deployments reads the deployment from every member that has it.
func (s *space) deployments(ctx context.Context, name string) (map[string]*appsv1.Deployment, error) {
	out := map[string]*appsv1.Deployment{}
	for _, m := range bed.members {
		d, err := m.memberClient.AppsV1().Deployments(s.namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("read deployment from %s: %w", m.Name(), err)
		default:
			out[m.Name()] = d
		}
	}
	return out, nil
}

// replicas are the replicas each member is told to run.
func (s *space) replicas(ctx context.Context, name string) (map[string]int32, error) {
	deployments, err := s.deployments(ctx, name)
	if err != nil {
		return nil, err
	}
	out := map[string]int32{}
	for m, d := range deployments {
		out[m] = *d.Spec.Replicas
	}
	return out, nil
}

// readyPods are the ready pods with a label, by member.
func (s *space) readyPods(ctx context.Context, selector string) (map[string][]corev1.Pod, error) {
	out := map[string][]corev1.Pod{}
	for _, m := range bed.members {
		pods, err := m.memberClient.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, fmt.Errorf("list pods of %s: %w", m.Name(), err)
		}
		for _, pod := range pods.Items {
			if pod.DeletionTimestamp == nil && podReady(&pod) {
				out[m.Name()] = append(out[m.Name()], pod)
			}
		}
	}
	return out, nil
}

func podReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// total sums what the members run.
func total(replicas map[string]int32) int32 {
	var sum int32
	for _, n := range replicas {
		sum += n
	}
	return sum
}

// checkPods checks that ready pods with a label are want in total, at least one on
// each member.
func (s *space) checkPods(ctx context.Context, selector string, want int) error {
	pods, err := s.readyPods(ctx, selector)
	if err != nil {
		return err
	}
	got, seen := 0, []string{}
	for _, m := range bed.members {
		n := len(pods[m.Name()])
		seen = append(seen, fmt.Sprintf("%s: %d", m.Name(), n))
		got += n
		if n == 0 {
			return fmt.Errorf("%s has no ready pod %s", m.Name(), selector)
		}
	}
	if got != want {
		return fmt.Errorf("%d ready pods %s (%s), want %d", got, selector, strings.Join(seen, ", "), want)
	}
	return nil
}

// dump logs what a person would look at first.
func (s *space) dump(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	show := func(title string, c command, args ...string) {
		out, err := c.start(ctx, "kubectl", args...)
		if err != nil {
			t.Logf("%s: %v", title, err)
			return
		}
		t.Logf("%s:\n%s%s", title, out.stdout, out.stderr)
	}
	show("fleet", asAdmin(), "get", "all,resourcebindings,events", "--namespace", s.namespace, "-o", "wide")
	show("bindings", asAdmin(), "get", "resourcebindings", "--namespace", s.namespace, "-o", "yaml", "--show-managed-fields=false")
	show("works", asAdmin(), "get", "works", "--all-namespaces", "-l", "fleet.dev/template-namespace="+s.namespace, "-o", "wide")
	show("clusters", asAdmin(), "get", "clusters", "-o", "wide")
	for _, m := range bed.members {
		show(m.Name(), command{kubeconfig: m.Kubeconfig()}, "get", "all", "--namespace", s.namespace, "-o", "wide")
	}
	t.Logf("end of the fleet's log, warnings and errors:\n%s", logTail(bed.fleet.Process.LogFile(), 40))
}

// logTail are the last n lines of a log that are not information.
func logTail(file string, n int) string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := slices.DeleteFunc(strings.Split(string(raw), "\n"), func(line string) bool {
		return line == "" || strings.HasPrefix(line, "I")
	})
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
