// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

var (
	update   = flag.Bool("update", false, "write docs/health-matrix.md")
	only     = flag.String("cells", "", "a regular expression of kinds and situations to look at alone, for example 'Job, fresh'")
	patience = flag.Duration("patience", 2*time.Minute, "how long something may take")
)

const (
	// pollInterval is how often an object is looked at.
	pollInterval = 500 * time.Millisecond
	// sideBySide is how many cells are looked at together. Most of the time they wait.
	sideBySide = 24
)

// TestMatrix: see the package.
func TestMatrix(t *testing.T) {
	m, err := readMatrix()
	if err != nil {
		t.Fatal(err)
	}
	m.choose(t)
	s := newStage(t)
	s.define(t)
	operate(t, s.operated)

	var before, after []*cell
	for _, c := range m.cells {
		if c.situation.Lost {
			after = append(after, c)
		} else {
			before = append(before, c)
		}
	}
	s.each(t, m.cells, s.create)
	s.each(t, before, s.conclude)
	if len(after) > 0 {
		s.lose(t)
		s.each(t, after, s.conclude)
	}
	complete := *only == ""
	for _, c := range m.cells {
		if c.fleet == nil {
			complete = false // an error was reported
			continue
		}
		s.check(t, c)
	}
	if complete {
		s.compare(t, m)
	}
}

// choose leaves the cells that are asked for.
func (m *matrix) choose(t *testing.T) {
	t.Helper()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	var chosen []*cell
	for _, c := range m.cells {
		if pattern.MatchString(c.String()) {
			chosen = append(chosen, c)
		}
	}
	m.cells = chosen
}

// each does something with all cells side by side, and waits.
func (s *stage) each(t *testing.T, cells []*cell, do func(context.Context, *cell) error) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(sideBySide)
	for _, c := range cells {
		group.Go(func() error {
			if err := do(t.Context(), c); err != nil {
				t.Errorf("%s: %v", c, err)
			}
			return nil
		})
	}
	_ = group.Wait() // errors were reported
}

// create brings a cell's object into the fleet and the plain cluster, and waits until
// it rests.
func (s *stage) create(ctx context.Context, c *cell) error {
	for _, at := range s.asked() {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace()}}
		if c.situation.Placement != "" && at == s.fleet {
			namespace.Annotations = map[string]string{wellknown.AnnotationPlacement: c.situation.Placement}
		}
		if _, err := at.kube.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create namespace in %s: %w", at.name, err)
		}
		err := await(ctx, "its namespace in "+at.name, func(ctx context.Context) error {
			_, err := at.kube.CoreV1().ServiceAccounts(c.namespace()).Get(ctx, "default", metav1.GetOptions{})
			return err
		})
		if err != nil {
			return err
		}
		for _, object := range append(slices.Clip(c.with), c.created) {
			objects, err := at.of(object)
			if err != nil {
				return err
			}
			if _, err := objects.Create(ctx, object, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("create %s in %s: %w", object.GetKind(), at.name, err)
			}
		}
	}
	return s.settle(ctx, c, "")
}

// conclude updates a cell's object, if it is to be, and asks everybody about it.
func (s *stage) conclude(ctx context.Context, c *cell) error {
	if err := s.update(ctx, c); err != nil {
		return err
	}
	if err := s.settle(ctx, c, c.change.Until); err != nil {
		return err
	}
	said := map[*place]*answers{}
	for _, at := range s.asked() {
		var err error
		if said[at], err = s.ask(ctx, at, c); err != nil {
			return fmt.Errorf("ask in %s: %w", at.name, err)
		}
		object, err := at.get(ctx, c.desired)
		if err != nil {
			return err
		}
		object.SetManagedFields(nil)
		said[at].object = object
	}
	c.plain, c.fleet = said[s.plain], said[s.fleet]
	return nil
}

// update changes a cell's object.
func (s *stage) update(ctx context.Context, c *cell) error {
	if len(c.change.Update) == 0 {
		return nil
	}
	patch, err := json.Marshal(c.change.Update)
	if err != nil {
		return err
	}
	for _, at := range s.asked() {
		objects, err := at.of(c.desired)
		if err != nil {
			return err
		}
		if _, err := objects.Patch(ctx, c.desired.GetName(), patchType(c.desired.GroupVersionKind()), patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("update in %s: %w", at.name, err)
		}
	}
	return nil
}

// asked are the places that are compared.
func (s *stage) asked() []*place { return []*place{s.plain, s.fleet} }

// check fails the test when the fleet has other answers than the plain cluster, and no
// reason, or a reason and no other answers.
func (s *stage) check(t *testing.T, c *cell) {
	t.Helper()
	diff := cmp.Diff(c.plain.said, c.fleet.said)
	switch {
	case diff != "" && c.change.Why == "":
		t.Errorf("%s: -plain +fleet:\n%s", c, diff)
	case diff == "" && c.change.Why != "":
		t.Errorf("%s: there is no difference any more", c)
	case diff == "":
		return
	}
	for name, a := range map[string]*answers{"plain": c.plain, "fleet": c.fleet} {
		for _, waiter := range waiters {
			t.Logf("%s: %s says: %s", name, waiter, a.words[waiter])
		}
		shown, err := a.object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s", name, shown)
	}
}

// settle waits until the object does not change any more: first in the plain cluster,
// then in the fleet, which has some time more to come to the same verdict.
func (s *stage) settle(ctx context.Context, c *cell, until string) error {
	for _, at := range s.asked() {
		if err := s.rest(ctx, at, c, until); err != nil {
			return err
		}
	}
	want, err := s.askLibraries(ctx, s.plain, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, agreement)
	defer cancel()
	_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		got, err := s.askLibraries(ctx, s.fleet, c)
		return err == nil && got.Kstatus == want.Kstatus && got.Argo == want.Argo, nil
	})
	return nil
}

// agreement is how much longer than the plain cluster the fleet may take to come to the
// same verdict. Differences that last are found by asking the waiters then.
const agreement = 10 * time.Second

// rest waits until generation and status of the object did not change for a while, with
// a certain field there, if one is named.
func (s *stage) rest(ctx context.Context, at *place, c *cell, until string) error {
	var last any
	since := time.Now()
	return await(ctx, "it to rest in "+at.name, func(ctx context.Context) error {
		object, err := at.get(ctx, c.desired)
		if err != nil {
			return err
		}
		if _, found, err := unstructured.NestedFieldNoCopy(object.Object, strings.Split(until, ".")...); until != "" && (!found || err != nil) {
			return fmt.Errorf("it has no %s", until)
		}
		status := map[string]any{"generation": object.GetGeneration(), "status": object.Object["status"]}
		if !equality.Semantic.DeepEqual(last, status) {
			last, since = status, time.Now()
		}
		if time.Since(since) < c.quiet() {
			return fmt.Errorf("it changed lately: %v", status)
		}
		return nil
	})
}

// get reads an object.
func (p *place) get(ctx context.Context, like *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	objects, err := p.of(like)
	if err != nil {
		return nil, err
	}
	return objects.Get(ctx, like.GetName(), metav1.GetOptions{})
}

// lose stops a member, and a node of the plain cluster, and waits until both were
// noticed.
func (s *stage) lose(t *testing.T) {
	t.Helper()
	if err := s.lost.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes, err := s.plain.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{LabelSelector: corev1.LabelTopologyZone + "=b"})
	if err != nil || len(nodes.Items) != 1 {
		t.Fatalf("want one node in the zone, got %v (%v)", nodes, err)
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"true"}}}`, lostLabel)
	if _, err := s.plain.kube.CoreV1().Nodes().Patch(t.Context(), nodes.Items[0].Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Pods of the node to be lost", func(ctx context.Context) error {
		pods, err := s.plain.kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + nodes.Items[0].Name})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
					return fmt.Errorf("%s is ready", pod.Name)
				}
			}
		}
		return nil
	})
	cluster := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cluster.fleet.dev/v1alpha1", "kind": "Cluster", "metadata": map[string]any{"name": lost},
	}}
	eventually(t, "the member to be lost", func(ctx context.Context) error {
		cluster, err := s.fleet.get(ctx, cluster)
		if err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(cluster.Object, "status", "conditions")
		if err != nil {
			return err
		}
		for _, condition := range conditions {
			if fields, ok := condition.(map[string]any); ok && fields["type"] == "Ready" && fields["status"] != "True" {
				return nil
			}
		}
		return fmt.Errorf("it is ready")
	})
}

// eventually fails the test unless check succeeds in time.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	if err := await(t.Context(), what, check); err != nil {
		t.Fatal(err)
	}
}

// await waits for check to succeed.
func await(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, *patience)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		if err := check(ctx); ctx.Err() == nil || last == nil {
			last = err
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: not within %s: %w", what, *patience, last)
	}
	return nil
}

// compare compares the document with what was found, or writes it.
func (s *stage) compare(t *testing.T, m *matrix) {
	t.Helper()
	file := filepath.Join(s.repo, "docs", "health-matrix.md")
	got := render(m)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s does not say what was found; -update writes it: -want +got:\n%s", file, diff)
	}
}
