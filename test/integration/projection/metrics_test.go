// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/member/fake"
	"fleet.dev/fleet/test/integration/harness"
)

const metricsVersion = "metrics.k8s.io/v1beta1"

// measure has a fake say what a Pod and its Node use.
func measure(t *testing.T, member *fake.Member, pod, node string) {
	t.Helper()
	version := schema.GroupVersion{Group: "metrics.k8s.io", Version: "v1beta1"}
	member.Serve(fake.Kind{GroupVersionKind: version.WithKind("PodMetrics"), Resource: "pods", Namespaced: true})
	member.Serve(fake.Kind{GroupVersionKind: version.WithKind("NodeMetrics"), Resource: "nodes"})
	member.Put(t, fake.Manifest(t, fmt.Sprintf(`
apiVersion: metrics.k8s.io/v1beta1
kind: PodMetrics
metadata: {namespace: default, name: %s, labels: {app: web}}
window: 15s
timestamp: 2026-01-01T00:00:00Z
containers: [{name: web, usage: {cpu: 250m, memory: 5Mi}}]
`, pod)))
	member.Put(t, fake.Manifest(t, fmt.Sprintf(`
apiVersion: metrics.k8s.io/v1beta1
kind: NodeMetrics
metadata: {name: %s}
window: 15s
timestamp: 2026-01-01T00:00:00Z
usage: {cpu: "2", memory: 1Gi}
`, node)))
}

// enable says on behalf of a syncer which APIs a member serves.
func enable(t *testing.T, server *harness.APIServer, name string, versions ...string) {
	t.Helper()
	cluster, err := server.Fleet.ClusterV1alpha1().Clusters().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cluster.Status.APIEnablements = nil
	for _, version := range versions {
		cluster.Status.APIEnablements = append(cluster.Status.APIEnablements, clusterv1alpha1.APIEnablement{GroupVersion: version})
	}
	if _, err := server.Fleet.ClusterV1alpha1().Clusters().UpdateStatus(t.Context(), cluster, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestMetrics reads what members measure, and installs a metrics-server of one's own.
func TestMetrics(t *testing.T) {
	t.Parallel()
	server := start(t, "")
	a, b := fake.Start(t), fake.Start(t)
	for name, member := range map[string]*fake.Member{"a": a, "b": b} {
		member.Put(t, pod(t, "web-1", "n1"))
		measure(t, member, "web-1", "n1")
		join(t, server, name, member)
	}
	client, err := metricsclient.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	all, err := discovery.NewDiscoveryClientForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	old, err := discovery.NewDiscoveryClientForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	old.UseLegacyDiscovery = true
	announcedTo := func(client *discovery.DiscoveryClient) bool {
		groups, err := client.ServerGroups()
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == "metrics.k8s.io" })
	}
	announced := func() bool { return announcedTo(all) && announcedTo(old) }
	list := func(ctx context.Context) ([]string, error) {
		var got []string
		pods, err := client.MetricsV1beta1().PodMetricses("default").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			return nil, err
		}
		for i := range pods.Items {
			got = append(got, pods.Items[i].Name+" "+pods.Items[i].Containers[0].Usage.Cpu().String())
		}
		nodes, err := client.MetricsV1beta1().NodeMetricses().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for i := range nodes.Items {
			got = append(got, nodes.Items[i].Name+" "+nodes.Items[i].Usage.Cpu().String())
		}
		return got, nil
	}

	if _, err := list(t.Context()); announcedTo(all) || announcedTo(old) || !apierrors.IsNotFound(err) {
		t.Errorf("a fleet whose members have no metrics has none: got %v", err)
	}
	enable(t, server, "a", metricsVersion)
	enable(t, server, "b", metricsVersion, "v1")
	eventually(t, "metrics are in discovery", func(context.Context) bool { return announced() })
	checkListed(t, old)
	want := []string{"web-1 250m", "web-1.b 250m", "n1.a 2", "n1.b 2"}
	eventually(t, "all members are asked", func(ctx context.Context) bool {
		got, err := list(ctx)
		return err == nil && cmp.Equal(want, got)
	})
	t.Run("OwnServer", func(t *testing.T) { checkOwnServer(t, server, list, announced) })
}

// checkListed compares what clients find of metrics that ask for no aggregated discovery.
func checkListed(t *testing.T, old *discovery.DiscoveryClient) {
	t.Helper()
	groups, resources, err := old.ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	preferred := map[string]string{}
	for _, group := range groups {
		if _, ok := preferred[group.Name]; ok {
			t.Errorf("group %q is listed twice", group.Name)
		}
		preferred[group.Name] = group.PreferredVersion.GroupVersion
	}
	if got := preferred["metrics.k8s.io"]; got != metricsVersion || preferred["apps"] != "apps/v1" || preferred["apiregistration.k8s.io"] == "" {
		t.Errorf("listed %v, want upstream's groups and %s", preferred, metricsVersion)
	}
	if !slices.ContainsFunc(resources, func(l *metav1.APIResourceList) bool {
		return l.GroupVersion == metricsVersion && len(l.APIResources) == 2
	}) {
		t.Errorf("%s has no resources", metricsVersion)
	}
}

// checkOwnServer does what a chart of metrics-server does: it finds no APIService that is
// somebody else's, creates one, and takes over with it.
func checkOwnServer(t *testing.T, server *harness.APIServer, list func(context.Context) ([]string, error), announced func() bool) {
	t.Helper()
	objects, err := dynamic.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	services := objects.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"})
	own := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1beta1.metrics.k8s.io"},
		"spec": map[string]any{
			"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true, "service": map[string]any{"namespace": "default", "name": "metrics-server"},
		},
	}}
	if _, err := services.Create(t.Context(), own, metav1.CreateOptions{}); err != nil {
		t.Fatalf("nobody has that APIService: %v", err)
	}
	eventually(t, "the Service is asked", func(ctx context.Context) bool {
		_, err := list(ctx)
		return apierrors.IsServiceUnavailable(err) && strings.Contains(err.Error(), "unable to handle the request")
	})
	if err := services.Delete(t.Context(), own.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "members are asked again", func(ctx context.Context) bool {
		got, err := list(ctx)
		return err == nil && len(got) == 4 && announced()
	})
}
