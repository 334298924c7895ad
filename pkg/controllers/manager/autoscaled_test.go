// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	kubefake "k8s.io/client-go/kubernetes/fake"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	clusterlisters "fleet.dev/fleet/pkg/generated/listers/cluster/v1alpha1"
	worklisters "fleet.dev/fleet/pkg/generated/listers/work/v1alpha1"
)

// fixedMetrics has every Pod use as much.
type fixedMetrics struct {
	metrics.MetricsClient

	pods []string
}

func (m fixedMetrics) values() metrics.PodMetricsInfo {
	values := metrics.PodMetricsInfo{"new": {Value: 1}} // which the informer has not seen yet
	for _, name := range m.pods {
		values[name] = metrics.PodMetric{Value: 1}
	}
	return values
}

func (m fixedMetrics) GetResourceMetric(context.Context, corev1.ResourceName, string, labels.Selector, string) (metrics.PodMetricsInfo, time.Time, error) {
	return m.values(), time.Time{}, nil
}

func (m fixedMetrics) GetRawMetric(string, string, labels.Selector, labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	return m.values(), time.Time{}, nil
}

// memberThatIs returns a Cluster with a condition Ready.
func memberThatIs(name string, ready metav1.ConditionStatus) *clusterv1alpha1.Cluster {
	return &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     clusterv1alpha1.ClusterStatus{Conditions: []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: ready}}},
	}
}

// podIn returns a Pod of a member.
func podIn(member, name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{wellknown.LabelCluster: member}}}
}

// indexed returns an indexer with objects in it.
func indexed(t *testing.T, objects ...any) cache.Indexer {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, object := range objects {
		if err := indexer.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	return indexer
}

func TestAutoscaledPods(t *testing.T) {
	divided := func(clusters ...workv1alpha1.TargetCluster) *workv1alpha1.BindingSpec {
		return &workv1alpha1.BindingSpec{Clusters: clusters}
	}
	in := func(member string, replicas int32) workv1alpha1.TargetCluster {
		return workv1alpha1.TargetCluster{Name: member, Replicas: replicas}
	}
	for name, tc := range map[string]struct {
		reason  string
		lost    []string
		binding *workv1alpha1.BindingSpec
		pods    map[string]string // the member by the Pod's name
		want    []string
		failed  bool
	}{
		"Divided": {
			reason: "Pods of all members count.", binding: divided(in("a", 1), in("b", 1)),
			pods: map[string]string{"a-1": "a", "b-1": "b"}, want: []string{"a-1", "b-1"},
		},
		"NoBinding": {
			reason: "So they do where nothing is known of a placement.", lost: []string{"a"},
			pods: map[string]string{"a-1": "a", "b-1": "b"}, want: []string{"a-1", "b-1"},
		},
		"Moved": {
			reason: "What was replaced and stays behind in a lost member does not count.", lost: []string{"a"}, binding: divided(in("b", 2)),
			pods: map[string]string{"a-1": "a", "b-1": "b", "b-2": "b"}, want: []string{"b-1", "b-2"},
		},
		"Leaving": {
			reason: "Pods that end in a member which is heard of are left to upstream.", binding: divided(in("b", 2)),
			pods: map[string]string{"a-1": "a", "b-1": "b"}, want: []string{"a-1", "b-1"},
		},
		"NotMoved": {
			reason: "What is to run in a lost member was not replaced.", lost: []string{"a"}, binding: divided(in("a", 1), in("b", 1)),
			pods: map[string]string{"a-1": "a", "b-1": "b"}, want: []string{"a-1", "b-1"},
		},
		"NeverSeen": {
			reason: "Without what a lost member runs there would be too few.", lost: []string{"a"}, binding: divided(in("a", 1), in("b", 1)),
			pods: map[string]string{"b-1": "b"}, failed: true,
		},
		"NotYetThere": {
			reason: "A member that is heard of has as many as it has.", binding: divided(in("a", 1), in("b", 1)),
			pods: map[string]string{"b-1": "b"}, want: []string{"b-1"},
		},
		"Duplicated": {
			reason: "One member stands for all.", binding: divided(in("b", 0), in("a", 0)),
			pods: map[string]string{"a-1": "a", "a-2": "a", "b-1": "b", "b-2": "b"}, want: []string{"a-1", "a-2"},
		},
		"DuplicatedLost": {
			reason: "It is one that is heard of.", lost: []string{"a"}, binding: divided(in("a", 0), in("b", 0)),
			pods: map[string]string{"a-1": "a", "b-1": "b"}, want: []string{"b-1"},
		},
		"DuplicatedAllLost": {
			reason: "It is one all the same when none is.", lost: []string{"a", "b"}, binding: divided(in("a", 0), in("b", 0)),
			pods: map[string]string{"a-1": "a", "b-1": "b"}, want: []string{"a-1"},
		},
		"DuplicatedNotYetThere": {
			reason: "And one that has Pods.", binding: divided(in("a", 0), in("b", 0)),
			pods: map[string]string{"b-1": "b"}, want: []string{"b-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			controlled := func(kind, name string) []metav1.OwnerReference {
				return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, Controller: new(true)}}
			}
			where := placed{
				bindings: worklisters.NewResourceBindingLister(indexed(t)),
				replicaSets: appslisters.NewReplicaSetLister(indexed(t, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
					Namespace: "shop", Name: "web-1", OwnerReferences: controlled("Deployment", "web"),
				}})),
			}
			var clusters []any
			for _, member := range []string{"a", "b"} {
				ready := metav1.ConditionTrue
				if slices.Contains(tc.lost, member) {
					ready = metav1.ConditionUnknown
				}
				clusters = append(clusters, memberThatIs(member, ready))
			}
			where.clusters = clusterlisters.NewClusterLister(indexed(t, clusters...))
			if tc.binding != nil {
				where.bindings = worklisters.NewResourceBindingLister(indexed(t, &workv1alpha1.ResourceBinding{
					ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-deployment"}, Spec: *tc.binding,
				}))
			}
			informer := informers.NewSharedInformerFactory(kubefake.NewClientset(), 0).Core().V1().Pods()
			bare := podIn("a", "bare")
			if err := informer.Informer().GetIndexer().Add(bare); err != nil {
				t.Fatal(err)
			}
			all := []string{"bare"}
			for name, member := range tc.pods {
				pod := podIn(member, name)
				pod.OwnerReferences = controlled("ReplicaSet", "web-1")
				if err := informer.Informer().GetIndexer().Add(pod); err != nil {
					t.Fatal(err)
				}
				all = append(all, name)
			}
			pods, err := autoscaledPods{informer, where}.Lister().Pods("shop").List(labels.Everything())
			var got []string
			for _, pod := range pods {
				got = append(got, pod.Name)
			}
			want := tc.want
			if !tc.failed {
				want = append([]string{"bare"}, tc.want...)
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" || (err != nil) != tc.failed {
				t.Errorf("\n%s\nList(...): got error %v, -want, +got:\n%s", tc.reason, err, diff)
			}
			client := autoscaledMetrics{fixedMetrics{pods: all}, informer.Lister(), where}
			resource, _, err := client.GetResourceMetric(t.Context(), corev1.ResourceCPU, "shop", labels.Everything(), "")
			raw, _, rawErr := client.GetRawMetric("requests", "shop", labels.Everything(), labels.Everything())
			if (err != nil) != tc.failed || (rawErr != nil) != tc.failed {
				t.Fatalf("\n%s\nmetrics: got errors %v, %v", tc.reason, err, rawErr)
			}
			if tc.failed {
				return
			}
			values := fixedMetrics{pods: want}.values()
			if diff := cmp.Diff([]metrics.PodMetricsInfo{values, values}, []metrics.PodMetricsInfo{resource, raw}); diff != "" {
				t.Errorf("\n%s\nmetrics are of the same Pods, -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}
