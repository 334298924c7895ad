// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/test/integration/harness"
)

// patience bounds every wait on a busy machine.
const patience = 60 * time.Second

// start runs an API server and a scheduler with two members.
func start(t *testing.T, options ...func(*scheduler.Config)) *harness.APIServer {
	t.Helper()
	fleet := harness.StartAPIServer(t, "")
	join(t, fleet, "berlin", "eu")
	join(t, fleet, "tokyo", "asia")
	c := scheduler.Config{FleetConfig: fleet.ConfigFor(t, "scheduler")}
	for _, option := range options {
		option(&c)
	}
	s, err := scheduler.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run scheduler: %v", err)
		}
	})
	return fleet
}

// join makes a Cluster that is ready and has room for 100 Pods.
func join(t *testing.T, fleet *harness.APIServer, name, region string) {
	t.Helper()
	clusters := fleet.Fleet.ClusterV1alpha1().Clusters()
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Push, Region: region}}
	made, err := clusters.Create(t.Context(), cluster, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Status = clusterv1alpha1.ClusterStatus{
		KubernetesVersion: "v1.36.3",
		Conditions:        []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: metav1.ConditionTrue, Reason: "Test", LastTransitionTime: metav1.Now()}},
		APIEnablements: []clusterv1alpha1.APIEnablement{
			{GroupVersion: "apps/v1", Resources: []clusterv1alpha1.APIResource{{Name: "deployments", Kind: "Deployment"}}},
			{GroupVersion: "v1", Resources: []clusterv1alpha1.APIResource{{Name: "configmaps", Kind: "ConfigMap"}, {Name: "namespaces", Kind: "Namespace"}}},
		},
		Capacity: &clusterv1alpha1.ClusterCapacity{Classes: []clusterv1alpha1.CapacityClass{{
			Name: "all", Nodes: 1, Labels: map[string]string{corev1.LabelOSStable: "linux"},
			Free: []clusterv1alpha1.FreeCapacity{{Count: 1, Resources: corev1.ResourceList{
				corev1.ResourcePods: resource.MustParse("100"), corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("64Gi"),
			}}},
		}}},
	}
	if _, err := clusters.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func deployment(name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx:1"}}},
			},
		},
	}
}

func eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-ticker.C:
		}
	}
}

// journal is the writes of one object, as etcd saw them.
type journal struct {
	etcd *clientv3.Client
	key  string
	from int64
}

// follow begins to count the writes of an object.
func follow(t *testing.T, fleet *harness.APIServer, resource, namespace, name string) *journal {
	t.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(fleet.DataDir, "etcd", "client.sock")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	now, err := etcd.Get(t.Context(), "/registry/none")
	if err != nil {
		t.Fatal(err)
	}
	return &journal{etcd: etcd, key: fmt.Sprintf("/registry/%s/%s/%s", resource, namespace, name), from: now.Header.Revision + 1}
}

// write is one of them.
type write struct {
	Metadata struct {
		Generation      int64  `json:"generation"`
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
}

// writes returns what was written up to now.
func (j *journal) writes(t *testing.T) []write {
	t.Helper()
	now, err := j.etcd.Get(t.Context(), j.key)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out []write
	// The key tells how often it was written; the watch, what.
	if len(now.Kvs) == 0 {
		t.Fatalf("etcd has no %s", j.key)
	}
	last := now.Kvs[0].ModRevision
	for response := range j.etcd.Watch(ctx, j.key, clientv3.WithRev(j.from)) {
		for _, event := range response.Events {
			var w write
			if err := json.Unmarshal(event.Kv.Value, &w); err != nil {
				t.Fatalf("read what was written to %s: %v", j.key, err)
			}
			out = append(out, w)
			if event.Kv.ModRevision >= last {
				return out
			}
		}
	}
	t.Fatalf("the writes of %s did not all come", j.key)
	return nil
}
