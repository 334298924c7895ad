// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// memberThatIs returns a Cluster with a condition Ready.
func memberThatIs(name string, ready metav1.ConditionStatus) *clusterv1alpha1.Cluster {
	return &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     clusterv1alpha1.ClusterStatus{Conditions: []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: ready}}},
	}
}

// readyPod returns a Pod of a member that is ready; without member it is stored only.
func readyPod(name, member string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	if member != "" {
		pod.Labels = map[string]string{wellknown.LabelCluster: member}
	}
	return pod
}

func TestHeardPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods := kubefake.NewClientset(readyPod("web-1", "a"), readyPod("web-2", "b"), readyPod("web-3", "gone"), readyPod("db", ""))
		clusters := fleetfake.NewClientset(memberThatIs("a", metav1.ConditionTrue), memberThatIs("b", metav1.ConditionFalse))
		c := &counting{informers: informers.NewSharedInformerFactory(pods, 0)}
		c.indexPods()
		fleet := fleetinformers.NewSharedInformerFactory(clusters, 0)
		heard := heardPods{c.informers.Core().V1().Pods(), fleet.Cluster().V1alpha1().Clusters()}
		var told []string
		if _, err := heard.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: func(_, after any) {
			told = append(told, after.(*corev1.Pod).Name)
		}}); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		c.informers.Start(stop)
		fleet.Start(stop)
		synctest.Wait()
		check := func(reason string, wantReady, wantTold []string) {
			t.Helper()
			for _, list := range []func(labels.Selector) ([]*corev1.Pod, error){heard.Lister().List, heard.Lister().Pods("shop").List} {
				all, err := list(labels.Everything())
				var ready []string
				for _, pod := range all {
					if podutil.IsPodReady(pod) {
						ready = append(ready, pod.Name)
					}
				}
				slices.Sort(ready)
				if diff := cmp.Diff(wantReady, ready); diff != "" || err != nil || len(all) != 4 {
					t.Errorf("%s: %d Pods, %v, ready: -want, +got:\n%s", reason, len(all), err, diff)
				}
			}
			if diff := cmp.Diff(wantTold, told); diff != "" {
				t.Errorf("%s: told of: -want, +got:\n%s", reason, diff)
			}
			told = nil
		}
		set := func(name string, ready metav1.ConditionStatus) {
			t.Helper()
			if _, err := clusters.ClusterV1alpha1().Clusters().UpdateStatus(t.Context(), memberThatIs(name, ready), metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		check("members that are heard of", []string{"db", "web-1", "web-2", "web-3"}, nil)
		set("a", metav1.ConditionUnknown)
		check("a member is lost", []string{"db", "web-2", "web-3"}, []string{"web-1"})
		set("b", metav1.ConditionTrue)
		check("another one becomes ready", []string{"db", "web-2", "web-3"}, nil)
		set("a", metav1.ConditionTrue)
		check("the member is found", []string{"db", "web-1", "web-2", "web-3"}, []string{"web-1"})
		close(stop)
		c.informers.Shutdown()
		fleet.Shutdown()
	})
}
