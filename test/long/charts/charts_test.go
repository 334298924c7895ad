// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// patience bounds what takes seconds.
	patience = 2 * time.Minute
	// giveUp is how long Helm waits for what cannot come.
	giveUp = "40s"
	// releaseName is that of every release.
	releaseName = "demo"
)

// chart is one of testdata.
type chart struct {
	dir string
	// upgrade and fail are what is set for the upgrade, and for the one that fails.
	upgrade, fail string
	// image and replicas are what runs after the upgrade, per release.
	image    string
	replicas int
	// hooks are labels of what has run once by the end of installation, its test and
	// the upgrade, with revisions for hooks that run again.
	hooks []string
}

var charts = []chart{
	{
		dir: "web", upgrade: "image=nginx:2,replicas=6", fail: "image=nginx:nonexistent", image: "nginx:2", replicas: 6,
		hooks: []string{"Job demo-post-install-1", "Job demo-post-upgrade-2", "Job demo-pre-install-1", "Job demo-pre-upgrade-2", "Job demo-test-1"},
	},
	{dir: "database", upgrade: "image=postgres:2", fail: "image=postgres:nonexistent", image: "postgres:2", replicas: 3, hooks: []string{"Pod demo-test"}},
	{dir: "batch", upgrade: "completions=4", fail: "image=busybox:nonexistent", hooks: []string{"Pod demo-test"}},
	{dir: "operator", upgrade: "image=operator:2", fail: "image=operator:nonexistent", image: "operator:2", replicas: 1, hooks: []string{"Pod demo-test"}},
	{dir: "agent", upgrade: "image=agent:2", fail: "image=agent:nonexistent", image: "agent:2", replicas: 2 * len(memberNames), hooks: []string{"Pod demo-test"}},
}

// helm is a version of Helm.
type helm struct {
	program string
	// install and upgrade are the flags with which it waits, and takes back what fails.
	install, upgrade []string
}

var helms = []helm{
	{
		program: "helm3",
		install: []string{"--wait", "--wait-for-jobs", "--atomic"},
		upgrade: []string{"--wait", "--wait-for-jobs", "--atomic"},
	},
	{
		program: "helm4",
		install: []string{"--wait", "--wait-for-jobs", "--rollback-on-failure"},
		upgrade: []string{"--wait", "--wait-for-jobs", "--rollback-on-failure"},
	},
}

func TestCharts(t *testing.T) {
	for _, h := range helms {
		for _, c := range charts {
			t.Run(h.program+"/"+c.dir, func(t *testing.T) {
				t.Parallel()
				newRelease(t, h, c).live()
			})
		}
	}
}

// release is one of a chart by a Helm, in a namespace of its own.
type release struct {
	*testing.T

	helm      helm
	chart     chart
	namespace string
	// values are flags for every installation and upgrade.
	values []string
}

func newRelease(t *testing.T, h helm, c chart) *release {
	t.Helper()
	r := &release{T: t, helm: h, chart: c, namespace: c.dir + "-" + h.program}
	if c.dir == "operator" {
		r.values = bed.values
	}
	return r
}

// live takes the release through its life.
func (r *release) live() {
	r.must("install", releaseName, "testdata/"+r.chart.dir, append(r.helm.install, "--create-namespace", "--timeout=120s")...)
	r.must("test", releaseName, "", "--timeout=120s")
	r.must("upgrade", releaseName, "testdata/"+r.chart.dir, append(r.helm.upgrade, "--set="+r.chart.upgrade, "--timeout=120s")...)
	r.checkRuns("upgraded")
	r.checkHooks()
	r.checkOperator()

	out, err := r.run(r.helm.program, r.arguments("upgrade", releaseName, "testdata/"+r.chart.dir,
		append(r.helm.upgrade, "--set="+r.chart.upgrade+","+r.chart.fail, "--timeout="+giveUp)...)...)
	if err == nil {
		r.Fatalf("an upgrade to an image that does not exist succeeds:\n%s", out)
	}
	r.checkHistory()
	r.checkRuns("rolled back")
	r.checkOperator()

	r.must("uninstall", releaseName, "", "--wait", "--timeout=120s")
	r.checkGone()
}

// arguments are those of Helm for the release.
func (r *release) arguments(verb, release, chart string, flags ...string) []string {
	args := append([]string{verb, release}, flags...)
	if chart != "" {
		args = append(append([]string{verb, release, chart}, r.values...), flags...)
	}
	return append(args, "--namespace", r.namespace)
}

// must runs Helm, which has to succeed.
func (r *release) must(verb, release, chart string, flags ...string) {
	r.Helper()
	args := r.arguments(verb, release, chart, flags...)
	if out, err := r.run(r.helm.program, args...); err != nil {
		r.Fatalf("%s %s: %v\n%s", r.helm.program, strings.Join(args, " "), err, out)
	}
}

// run runs a program as the fleet's administrator and returns what it prints.
func (r *release) run(program string, args ...string) (string, error) {
	return bed.run(r.Context(), program, args...)
}

// eventually fails the test unless check succeeds in time.
func (r *release) eventually(what string, check func(context.Context) error) {
	r.Helper()
	var last error
	err := wait.PollUntilContextTimeout(r.Context(), 250*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		r.Fatalf("wait for %s: %v", what, last)
	}
}

// checkRuns checks that members run what the release says, and nothing else.
func (r *release) checkRuns(after string) {
	r.Helper()
	if r.chart.replicas == 0 {
		return
	}
	r.eventually("members to run what was "+after, func(ctx context.Context) error {
		ready := 0
		for _, m := range bed.members {
			pods, err := m.memberClient.CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + releaseName})
			if err != nil {
				return err
			}
			for _, pod := range pods.Items {
				if image := pod.Spec.Containers[0].Image; image != r.chart.image {
					return fmt.Errorf("pod %s in %s runs %s", pod.Name, m.name, image)
				}
				if isReady(&pod) {
					ready++
				}
			}
		}
		if ready != r.chart.replicas {
			return fmt.Errorf("%d of %d pods are ready", ready, r.chart.replicas)
		}
		return nil
	})
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// checkHooks checks that each hook ran once, in one member.
func (r *release) checkHooks() {
	r.Helper()
	var ran []string
	for _, m := range bed.members {
		options := metav1.ListOptions{LabelSelector: "hook"}
		jobs, err := m.memberClient.BatchV1().Jobs(r.namespace).List(r.Context(), options)
		if err != nil {
			r.Fatal(err)
		}
		for _, job := range jobs.Items {
			ran = append(ran, "Job "+job.Name)
			if job.Status.Succeeded != 1 || job.Status.Failed != 0 {
				r.Errorf("hook %s in %s: want it to have run once, got %+v", job.Name, m.name, job.Status)
			}
		}
		pods, err := m.memberClient.CoreV1().Pods(r.namespace).List(r.Context(), options)
		if err != nil {
			r.Fatal(err)
		}
		for _, pod := range pods.Items {
			if owner := metav1.GetControllerOf(&pod); owner == nil || owner.Kind != "Job" || owner.APIVersion != batchv1.SchemeGroupVersion.String() {
				ran = append(ran, "Pod "+pod.Name)
			}
		}
	}
	slices.Sort(ran)
	if diff := cmp.Diff(r.chart.hooks, ran); diff != "" {
		r.Errorf("hooks that ran, in all members: -want +got:\n%s", diff)
	}
}

// checkOperator checks that the operator's webhook answers.
func (r *release) checkOperator() {
	r.Helper()
	if r.chart.dir != "operator" {
		return
	}
	if out, err := r.run("kubectl", "patch", "gadget", releaseName, "--namespace", r.namespace, "--type=merge", "--patch", `{"spec":{"size":-1}}`); err == nil ||
		!strings.Contains(out, "denied the request: too small, says member") {
		r.Errorf("the webhook refuses a gadget that is too small, got %v\n%s", err, out)
	}
	if out, err := r.run("kubectl", "patch", "gadget", releaseName, "--namespace", r.namespace, "--type=merge", "--patch", `{"spec":{"size":4}}`); err != nil {
		r.Errorf("the webhook allows a gadget: %v\n%s", err, out)
	}
}

// checkHistory checks that the failed upgrade was followed by a rollback.
func (r *release) checkHistory() {
	r.Helper()
	out, err := r.run(r.helm.program, "history", releaseName, "--namespace", r.namespace, "--output=json")
	if err != nil {
		r.Fatalf("read history: %v\n%s", err, out)
	}
	var revisions []struct{ Status string }
	if err := json.Unmarshal([]byte(out), &revisions); err != nil {
		r.Fatalf("read history: %v\n%s", err, out)
	}
	var statuses []string
	for _, revision := range revisions {
		statuses = append(statuses, revision.Status)
	}
	if diff := cmp.Diff([]string{"superseded", "superseded", "failed", "deployed"}, statuses); diff != "" {
		r.Errorf("history after installation, upgrade, failure and rollback: -want +got:\n%s", diff)
	}
}

// checkGone checks that nothing of the release is left, in the fleet and in members.
func (r *release) checkGone() {
	r.Helper()
	const kinds = "deployments,statefulsets,daemonsets,jobs,cronjobs,services,configmaps,secrets,serviceaccounts,ingresses,poddisruptionbudgets"
	const selector = "release=" + releaseName
	r.eventually("the fleet to have nothing of the release", func(context.Context) error {
		out, err := r.run("kubectl", "get", kinds, "--namespace", r.namespace, "--selector", selector, "--output=name")
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("there are %s", out)
		}
		return err
	})
	r.eventually("members to have nothing of the release", func(ctx context.Context) error {
		for _, m := range bed.members {
			out, err := m.run(ctx, "kubectl", "get", kinds+",pods", "--namespace", r.namespace, "--selector", selector, "--output=name")
			if err != nil {
				return err
			}
			if strings.TrimSpace(out) != "" {
				return fmt.Errorf("%s has %s", m.name, out)
			}
		}
		return nil
	})
}
