// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package autoscaling

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/e2e/witness"
)

const (
	namespace = "shop"
	// steadyPeriod is how long nothing may be written when nothing happens, and
	// steadyQuiet how long it must have been quiet before.
	steadyPeriod = 60 * time.Second
	steadyQuiet  = 20 * time.Second
)

// What all Pods use together, in millionths of a CPU. A Pod asks for a tenth of a CPU and
// is meant to use half of that. The share of each is no whole number of thousandths, which
// what is measured is rounded to: it differs by a little each time.
const (
	loadForTwo   = 99_000
	loadForTen   = 505_000
	loadForThree = 137_700
)

const manifests = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx, resources: {requests: {cpu: 100m}}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 10
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 60}}
`

// TestAutoscaling: see the package.
func TestAutoscaling(t *testing.T) {
	s := setUp(t)
	s.apply(t, manifests)
	load := &load{stage: s}
	load.total.Store(loadForTwo)
	load.start(t)

	s.settle(t, 2, "2 Pods")
	s.checkTop(t, "pods", 2)
	load.total.Store(loadForTen)
	s.settle(t, 10, "five times the load")
	s.checkTop(t, "pods", 10)
	s.checkTop(t, "nodes", 4) // metrics-server does not show Nodes on which nothing runs
	s.checkCustom(t)
	load.total.Store(loadForThree)
	s.settle(t, 3, "a quarter of it")
	s.checkSteady(t)
	s.checkDrain(t)
}

// apply applies manifests to the fleet.
func (s *stage) apply(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifests.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.kubectl(t.Context(), "apply", "--filename="+file); err != nil {
		t.Fatal(err)
	}
}

// checkTop waits until kubectl top shows so many Nodes or Pods, of both members.
func (s *stage) checkTop(t *testing.T, what string, want int) {
	t.Helper()
	eventually(t, "kubectl top "+what, func(ctx context.Context) error {
		out, err := s.kubectl(ctx, "top", what, "--namespace="+namespace, "--no-headers")
		if err != nil {
			return err
		}
		if got := len(strings.Split(strings.TrimSpace(out), "\n")); got != want || strings.Contains(out, "Warning") {
			return fmt.Errorf("want %d lines, got\n%s", want, out)
		}
		if what == "nodes" && (!strings.Contains(out, "node-0.alpha ") || !strings.Contains(out, "node-0.bravo ")) {
			return fmt.Errorf("want nodes of both members, got\n%s", out)
		}
		return nil
	})
}

// settle waits until the autoscaler wants so many Pods, and members run as many.
func (s *stage) settle(t *testing.T, want int32, why string) {
	t.Helper()
	began := time.Now()
	var shares []int32
	eventually(t, fmt.Sprintf("%d Pods, for %s", want, why), func(ctx context.Context) error {
		web, err := s.kube.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if *web.Spec.Replicas != want || web.Status.ReadyReplicas != want || web.Status.ObservedGeneration < web.Generation {
			return fmt.Errorf("%d are wanted, status is %+v", *web.Spec.Replicas, web.Status)
		}
		shares, err = s.shares(ctx)
		if err == nil && (shares[0]+shares[1] != want || shares[0] == 0 || shares[1] == 0) {
			err = fmt.Errorf("the shares of members are %d", shares)
		}
		return err
	})
	t.Logf("%d Pods, for %s: after %s, shares of members %d", want, why, time.Since(began).Round(time.Second), shares)
}

// shares are the replicas of each member.
func (s *stage) shares(ctx context.Context) ([]int32, error) {
	shares := make([]int32, len(s.sites))
	for i, site := range s.sites {
		web, err := site.kube.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", site.Name(), err)
		}
		shares[i] = *web.Spec.Replicas
		if web.Status.Replicas != shares[i] {
			return nil, fmt.Errorf("member %q has %d Pods of %d", site.Name(), web.Status.Replicas, shares[i])
		}
	}
	return shares, nil
}

// load shares what is to be used among the Pods there are, through the fleet.
type load struct {
	*stage

	total atomic.Int64
}

// start shares it until the test ends.
func (l *load) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { wait.UntilWithContext(ctx, l.share, pollInterval) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

// share writes to Pods whose share is another one now. What fails is tried again.
func (l *load) share(ctx context.Context) {
	pods, err := l.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		return
	}
	var running []string
	shares := map[string]string{}
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
			running = append(running, pod.Name)
			shares[pod.Name] = pod.Annotations["kwok.x-k8s.io/usage-cpu"]
		}
	}
	for _, name := range running {
		share := fmt.Sprintf("%du", l.total.Load()/int64(len(running)))
		if shares[name] != share {
			patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"kwok.x-k8s.io/usage-cpu":%q}}}`, share)
			_, _ = l.kube.CoreV1().Pods(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
	}
}

// checkSteady checks that nothing is written while the load stays as it is.
func (s *stage) checkSteady(t *testing.T) {
	t.Helper()
	etcd, err := witness.DialEtcd(s.fleet.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = etcd.Close() }()
	record, err := etcd.Record(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer record.Stop()
	var quiet time.Time
	seen := -1
	eventually(t, "quiet", func(context.Context) error {
		changes, err := record.Changes(witness.NotHeartbeat)
		if err != nil {
			return err
		}
		if len(changes) != seen {
			seen, quiet = len(changes), time.Now()
		}
		if time.Since(quiet) < steadyQuiet {
			return fmt.Errorf("written:\n%s", witness.ChangeLines(changes))
		}
		return nil
	})
	var marks []witness.Mark
	for _, site := range s.sites {
		mark, err := site.audit.Mark()
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, mark)
	}

	<-time.After(steadyPeriod)

	changes, err := record.Changes(witness.NotHeartbeat)
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != seen {
		t.Errorf("written to etcd in %s:\n%s", steadyPeriod, witness.ChangeLines(changes[seen:]))
	}
	for i, site := range s.sites {
		writes, err := site.audit.Since(marks[i], nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(writes) > 0 {
			t.Errorf("written to %s in %s:\n%s", site.Name(), steadyPeriod, witness.Lines(writes))
		}
	}
	t.Logf("in %s of the same load: %d writes to etcd beyond leases", steadyPeriod, len(changes)-seen)
}

// checkDrain drains the Node of a Pod while a budget over both members says how far.
func (s *stage) checkDrain(t *testing.T) {
	t.Helper()
	pods, err := s.kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		t.Fatal(err)
	}
	pod := &pods.Items[0]
	drain := []string{"drain", pod.Spec.NodeName, "--pod-selector=app=web", "--timeout=15s"}
	budget := func(available int) {
		s.apply(t, fmt.Sprintf(`
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: shop}
spec: {minAvailable: %d, selector: {matchLabels: {app: web}}}
`, available))
		eventually(t, "the budget to count Pods of both members", func(ctx context.Context) error {
			found, err := s.kube.PolicyV1().PodDisruptionBudgets(namespace).Get(ctx, "web", metav1.GetOptions{})
			if err == nil && (found.Status.ObservedGeneration < found.Generation || found.Status.CurrentHealthy != 3 || int(found.Status.DesiredHealthy) != available) {
				err = fmt.Errorf("its status is %+v", found.Status)
			}
			return err
		})
	}
	budget(3)
	if out, err := s.kubectl(t.Context(), drain...); err == nil || !strings.Contains(out, "would violate the pod's disruption budget") {
		t.Errorf("no Pod may be disrupted: got %v\n%s", err, out)
	}
	budget(2)
	out, err := s.kubectl(t.Context(), drain...)
	if err != nil {
		t.Errorf("one Pod may be disrupted at a time: %v", err)
	}
	_, gone := s.kube.CoreV1().Pods(namespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	t.Logf("drained %s of member %s:\n%s", pod.Spec.NodeName, pod.Labels[wellknown.LabelCluster], out)
	if gone == nil {
		t.Errorf("%s is still there", pod.Name)
	}
	if _, err := s.kubectl(t.Context(), "uncordon", pod.Spec.NodeName); err != nil {
		t.Error(err)
	}
	s.settle(t, 3, "the same load as before")
}
