// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package autoscaling

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// orders has a Deployment that is scaled by what each of its Pods has to do, and one
// that is scaled by a number from elsewhere, of which every member's adapter says 42.
const orders = `
apiVersion: v1
kind: Namespace
metadata: {name: orders}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: queue, namespace: orders}
spec:
  replicas: 2
  selector: {matchLabels: {app: queue}}
  template:
    metadata: {labels: {app: queue}}
    spec: {containers: [{name: queue, image: nginx}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: queue, namespace: orders}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: queue}
  minReplicas: 2
  maxReplicas: 10
  metrics: [{type: Pods, pods: {metric: {name: waiting}, target: {type: AverageValue, averageValue: "10"}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: stock, namespace: orders}
spec:
  replicas: 2
  selector: {matchLabels: {app: stock}}
  template:
    metadata: {labels: {app: stock}}
    spec: {containers: [{name: stock, image: nginx}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: stock, namespace: orders}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: stock}
  minReplicas: 2
  maxReplicas: 10
  metrics: [{type: External, external: {metric: {name: my-external-metric, selector: {matchLabels: {foo: bar}}}, target: {type: AverageValue, averageValue: "21"}}}]
`

const (
	// waiting is how many orders wait in all Pods of the queue together; 10 are meant to
	// be in each.
	waiting = 50
	// stocked is how many Pods there are to be by the number from elsewhere.
	stocked = 4
)

// checkCustom has adapters of members say what there is to do.
func (s *stage) checkCustom(t *testing.T) {
	t.Helper()
	s.apply(t, orders)
	began := time.Now()
	eventually(t, "Pods for what is to do", func(ctx context.Context) error {
		if err := s.tellWaiting(ctx); err != nil {
			return err
		}
		for name, want := range map[string]int32{"queue": waiting / 10, "stock": stocked} {
			found, err := s.kube.AppsV1().Deployments("orders").Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if *found.Spec.Replicas != want || found.Status.ReadyReplicas != want {
				return fmt.Errorf("want %d Pods of %s, got %d, status is %+v", want, name, *found.Spec.Replicas, found.Status)
			}
		}
		return nil
	})
	t.Logf("Pods by custom and external metrics: after %s", time.Since(began).Round(time.Second))
}

// tellWaiting shares what waits among the Pods of the queue and tells the adapters of
// their members.
func (s *stage) tellWaiting(ctx context.Context) error {
	count, pods := 0, make([][]corev1.Pod, len(s.sites))
	for i, site := range s.sites {
		found, err := site.kube.CoreV1().Pods("orders").List(ctx, metav1.ListOptions{LabelSelector: "app=queue"})
		if err != nil {
			return err
		}
		pods[i] = found.Items
		count += len(found.Items)
	}
	for i, site := range s.sites {
		for j := range pods[i] {
			if err := site.tell(ctx, pods[i][j].Name, waiting/count); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell tells the member's adapter what waits in a Pod.
func (s *site) tell(ctx context.Context, pod string, value int) error {
	path := "http://adapter/write-metrics/namespaces/orders/pods/" + pod + "/waiting"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(strconv.Quote(strconv.Itoa(value))))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.adapter)
	}}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("tell the adapter of %q: %s", s.Name(), answer.Status))
	}
	return nil
}

// buildAdapter builds the adapter, whose module is its own.
func buildAdapter(t *testing.T, bin string) string {
	t.Helper()
	program := filepath.Join(bin, "adapter")
	t.Log("building the adapter of custom metrics (minutes on a cold machine)")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", program, ".")
	build.Dir = "adapter"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the adapter: %v\n%s", err, out)
	}
	return program
}

// startAdapter runs an adapter in a member and returns its port.
func (s *stage) startAdapter(t *testing.T, dir string, of *site) int32 {
	t.Helper()
	of.adapter = filepath.Join(dir, of.Name()+"-adapter.sock")
	if err := os.RemoveAll(of.adapter); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	kubeconfig := of.InnerKubeconfig()
	s.startInside(t, dir, of, "adapter", s.adapter, "--lister-kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(int(port)), "--cert-dir="+t.TempDir(), "--socket="+of.adapter)
	return port
}
