// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Names of the waiters, in the order of the document.
const (
	rolloutStatus = "kubectl rollout status"
	kubectlWait   = "kubectl wait"
	helm3         = "Helm 3"
	helm4         = "Helm 4"
	kstatus       = "kstatus"
	argo          = "Argo CD"
)

var waiters = []string{rolloutStatus, kubectlWait, helm3, helm4, kstatus, argo}

// What programs that wait say. One that waits is given waitFor, since it is asked about
// what does not change any more.
const (
	done    = "done"
	waiting = "waiting"
	failed  = "failed"
	met     = "met"
	unmet   = "not met"
	// none is what a waiter says of a kind it knows nothing about.
	none = "–"

	waitFor = "5s"
	// release is the one of Helm that an object belongs to from the beginning.
	release = "one"
	// clients is how many programs run at once.
	clients = 6
)

// slots are held by programs that run.
var slots = make(chan struct{}, clients)

// answers are what each waiter says, with its words.
type answers struct {
	said  map[string]string
	words map[string]string
	// object is as it was afterwards.
	object *unstructured.Unstructured
}

func (a *answers) set(waiter, said, words string) {
	a.said[waiter], a.words[waiter] = said, strings.TrimSpace(words)
}

// ask has all waiters look at an object of a place. Helm comes last: it writes.
func (s *stage) ask(ctx context.Context, at *place, c *cell) (*answers, error) {
	a := &answers{said: map[string]string{}, words: map[string]string{}}
	for _, waiter := range waiters {
		a.set(waiter, none, "")
	}
	verdicts, err := s.askLibraries(ctx, at, c)
	if err != nil {
		return nil, err
	}
	a.set(kstatus, verdicts.Kstatus, verdicts.KstatusReason)
	if verdicts.Argo != "" {
		a.set(argo, verdicts.Argo, verdicts.ArgoReason)
	}
	if c.subject.Rollout {
		code, out, err := s.run(ctx, at, "kubectl", "rollout", "status", c.reference(), "--namespace", c.namespace(), "--timeout", waitFor)
		if err != nil {
			return nil, err
		}
		a.set(rolloutStatus, classify(code, out), out)
	}
	if err := s.askWait(ctx, at, c, a); err != nil {
		return nil, err
	}
	return a, s.askHelm(ctx, at, c, a)
}

// askWait waits for each condition of the kind.
func (s *stage) askWait(ctx context.Context, at *place, c *cell, a *answers) error {
	var said, words []string
	for _, condition := range c.subject.Wait {
		code, out, err := s.run(ctx, at, "kubectl", "wait", "--for", condition, c.reference(), "--namespace", c.namespace(), "--timeout", waitFor)
		if err != nil {
			return err
		}
		words = append(words, out)
		switch {
		case code == 0:
			said = append(said, met)
		case strings.Contains(out, "timed out waiting"):
			said = append(said, unmet)
		default:
			said = append(said, failed)
		}
	}
	if len(said) > 0 {
		a.set(kubectlWait, strings.Join(said, ", "), strings.Join(words, ""))
	}
	return nil
}

// askHelm installs a chart with the object as it is, which changes nothing, and waits,
// once with Helm 3 and then, upgrading to the same, with Helm 4.
func (s *stage) askHelm(ctx context.Context, at *place, c *cell, a *answers) error {
	dir, err := os.MkdirTemp(s.scratch, "chart")
	if err != nil {
		return err
	}
	chart, err := writeChart(dir, c.desired)
	if err != nil {
		return err
	}
	flags := []string{release, chart, "--namespace", c.namespace(), "--wait", "--wait-for-jobs", "--timeout", waitFor}
	for _, call := range []struct{ waiter, program, verb string }{{helm3, "helm3", "install"}, {helm4, "helm4", "upgrade"}} {
		code, out, err := s.run(ctx, at, call.program, append([]string{call.verb}, flags...)...)
		if err != nil {
			return err
		}
		a.set(call.waiter, classify(code, out), out)
	}
	return nil
}

// writeChart writes a chart of one object.
func writeChart(dir string, object *unstructured.Unstructured) (string, error) {
	manifest, err := yaml.Marshal(object.Object)
	if err != nil {
		return "", err
	}
	chart := filepath.Join(dir, "chart")
	return chart, errors.Join(
		os.MkdirAll(filepath.Join(chart, "templates"), 0o700),
		os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: one\nversion: 1.0.0\n"), 0o600),
		os.WriteFile(filepath.Join(chart, "templates", "object.yaml"), manifest, 0o600))
}

// verdicts are what libraries say.
type verdicts struct {
	Kstatus, KstatusReason, Argo, ArgoReason string
}

// askLibraries shows libraries the object as it is now.
func (s *stage) askLibraries(ctx context.Context, at *place, c *cell) (verdicts, error) {
	var out verdicts
	object, err := at.get(ctx, c.desired)
	if err != nil {
		return out, err
	}
	raw, err := object.MarshalJSON()
	if err != nil {
		return out, err
	}
	cmd := exec.CommandContext(ctx, s.judge)
	cmd.Stdin = bytes.NewReader(raw)
	answer, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("judge %s: %w", c, err)
	}
	return out, json.Unmarshal(answer, &out)
}

// classify reads how a program that waits ended.
func classify(code int, out string) string {
	switch {
	case code == 0:
		return done
	case strings.Contains(out, "timed out waiting"), strings.Contains(out, "context deadline exceeded"):
		return waiting
	default:
		return failed
	}
}

// run runs a client of a place and returns how it ended and what it printed.
func (s *stage) run(ctx context.Context, at *place, program string, args ...string) (int, string, error) {
	slots <- struct{}{}
	defer func() { <-slots }()
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+at.kubeconfig)
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), string(out), nil
	}
	return 0, string(out), err
}
