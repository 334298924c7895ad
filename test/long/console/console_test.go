// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/testbed/suite"
)

// patience is how long something may take before a test fails.
const patience = 3 * time.Minute

// space is a namespace whose Pods run in one member.
type space struct {
	name   string
	member *member
	kube   kubernetes.Interface
}

// newSpace makes a namespace in the fleet. It goes with the test.
func newSpace(t *testing.T, m *member) *space {
	t.Helper()
	config, err := bed.fleet.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	s := &space{name: "console-" + m.Name(), member: m, kube: kubernetes.NewForConfigOrDie(config)}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name, Annotations: map[string]string{wellknown.AnnotationClusters: "site=" + m.Name()}}}
	if _, err := s.kube.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.kube.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), s.name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	suite.Eventually(t, patience, "the namespace to have its service account", func(ctx context.Context) error {
		_, err := s.kube.CoreV1().ServiceAccounts(s.name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	return s
}

// run is kubectl run of a Pod that is removed at its end.
func (s *space) run(ctx context.Context, pod string, args ...string) *exec.Cmd {
	return bed.kubectl(ctx, append([]string{"run", pod, "--namespace=" + s.name, "--image=alpine", "--restart=Never", "--rm"}, args...)...)
}

// TestRun sits in front of Pods of each member.
func TestRun(t *testing.T) {
	for _, m := range bed.members {
		t.Run(m.Name(), func(t *testing.T) {
			t.Parallel()
			s := newSpace(t, m)
			t.Run("Terminal", s.checkTerminal)
			t.Run("Input", s.checkInput)
			t.Run("Failure", s.checkFailure)
		})
	}
}

// checkTerminal works in a Pod as in a shell of one's own, and leaves it.
func (s *space) checkTerminal(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := s.run(ctx, "shell", "--stdin", "--tty")
	console := newTerminal(t, cmd)
	ended := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	see := func(what string) {
		t.Helper()
		suite.Eventually(t, patience, fmt.Sprintf("%q on the screen", what), func(context.Context) error {
			select {
			case err := <-ended:
				t.Fatalf("kubectl ended early: %v\n%s", err, console.text())
			default:
			}
			if !strings.Contains(console.text(), what) {
				return errors.New(console.text())
			}
			return nil
		})
	}
	enter := func(line string) {
		t.Helper()
		if err := console.enter(line); err != nil {
			t.Fatal(err)
		}
	}
	see("$ ") // a prompt
	pod, err := s.member.kube.CoreV1().Pods(s.name).Get(ctx, "shell", metav1.GetOptions{})
	if err != nil || !pod.Spec.Containers[0].TTY {
		t.Errorf("the pod with a terminal runs in member %q: %v", s.member.Name(), err)
	}
	enter("echo answer-$((40 + 2))")
	see("answer-42")
	enter("stty size")
	see(fmt.Sprintf("%d %d", rows, columns))
	enter("exit 0")
	if err := <-ended; err != nil {
		t.Errorf("kubectl ends well when the shell does: %v\n%s", err, console.text())
	}
	see(`pod "shell" deleted`)
	s.checkGone(t, "shell")
}

// checkInput sends a script through a pipe. Of its end kwok tells nobody, so it says exit.
func (s *space) checkInput(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := s.run(ctx, "script", "--stdin", "--quiet")
	cmd.Stdin = strings.NewReader("echo first-$((1 + 1))\necho second-$((2 + 2))\nexit 0\n")
	out, err := cmd.Output()
	if err != nil || !strings.HasSuffix(string(out), "\nfirst-2\nsecond-4\n") { // before, there is the log
		t.Errorf("a script runs to its end: got %q, %v", out, describe(err))
	}
	s.checkGone(t, "script")
}

// checkFailure leaves with an exit code, which is kubectl's.
func (s *space) checkFailure(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := s.run(ctx, "failing", "--stdin", "--quiet")
	cmd.Stdin = strings.NewReader("exit 3\n")
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 {
		t.Errorf("want exit code 3, got %v", describe(err))
	}
	s.checkGone(t, "failing")
}

// checkGone checks that a Pod is nowhere any more.
func (s *space) checkGone(t *testing.T, pod string) {
	t.Helper()
	if _, err := s.kube.CoreV1().Pods(s.name).Get(t.Context(), pod, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("pod %q is removed from the fleet when kubectl ends: %v", pod, err)
	}
	suite.Eventually(t, patience, "the member to have no such pod", func(ctx context.Context) error {
		_, err := s.member.kube.CoreV1().Pods(s.name).Get(ctx, pod, metav1.GetOptions{})
		switch {
		case err == nil:
			return errors.New("it has one")
		case !apierrors.IsNotFound(err):
			return err
		default:
			return nil
		}
	})
}

// describe adds to an error what the program said.
func describe(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Sprintf("%v: %s", err, exit.Stderr)
	}
	return fmt.Sprint(err)
}
