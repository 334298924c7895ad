// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	kubefake "k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	worklisters "fleet.dev/fleet/pkg/generated/listers/work/v1alpha1"
)

func TestOwnAutoscalers(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		binding *workv1alpha1.BindingSpec
		own     bool
	}{
		"NoBinding": {reason: "One that stays in the fleet is run here.", own: true},
		"NoMember":  {reason: "So is one that is in no member.", binding: &workv1alpha1.BindingSpec{}, own: true},
		"InMember":  {reason: "One in a member is run there.", binding: &workv1alpha1.BindingSpec{Clusters: []workv1alpha1.TargetCluster{{Name: "a"}}}},
		"Along": {reason: "So is one that travels with what it scales.", binding: &workv1alpha1.BindingSpec{
			RequiredBy: []workv1alpha1.BindingSnapshot{{Clusters: []workv1alpha1.TargetCluster{{Name: "a"}}}},
		}},
		"AlongNowhere": {reason: "What it scales may be in no member.", binding: &workv1alpha1.BindingSpec{RequiredBy: []workv1alpha1.BindingSnapshot{{}}}, own: true},
		"Evicted": {reason: "One that is to leave a member gracefully is run there meanwhile.", binding: &workv1alpha1.BindingSpec{
			GracefulEvictionTasks: []workv1alpha1.GracefulEvictionTask{{FromCluster: "a"}},
		}},
		"Leaving": {reason: "And it is until the member has confirmed that it is gone.", binding: &workv1alpha1.BindingSpec{Tombstones: []workv1alpha1.Tombstone{{ClusterName: "a"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			autoscaler := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
			factory := informers.NewSharedInformerFactory(kubefake.NewClientset(), 0)
			all := factory.Autoscaling().V2().HorizontalPodAutoscalers()
			bindings := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
			if err := all.Informer().GetIndexer().Add(autoscaler); err != nil {
				t.Fatal(err)
			}
			if tc.binding != nil {
				binding := &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-horizontalpodautoscaler"}, Spec: *tc.binding}
				if err := bindings.Add(binding); err != nil {
					t.Fatal(err)
				}
			}
			lister := ownAutoscalers{all, worklisters.NewResourceBindingLister(bindings)}.Lister()
			_, err := lister.HorizontalPodAutoscalers("shop").Get("web")
			if got := err == nil; got != tc.own || err != nil && !apierrors.IsNotFound(err) {
				t.Errorf("\n%s\nGet(...): want %t, got %v", tc.reason, tc.own, err)
			}
			for _, list := range []func(labels.Selector) ([]*autoscalingv2.HorizontalPodAutoscaler, error){
				lister.List, lister.HorizontalPodAutoscalers("shop").List,
			} {
				found, err := list(labels.Everything())
				if err != nil || (len(found) == 1) != tc.own {
					t.Errorf("\n%s\nList(...): want %t, got %v, %v", tc.reason, tc.own, found, err)
				}
			}
		})
	}
}

func TestFromTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := kubefake.NewClientset()
		factory := func() informers.SharedInformerFactory { return informers.NewSharedInformerFactory(client, 0) }
		d := &dependencies{
			informers: &informerFactory{typed: factory(), metadata: metadatainformer.NewSharedInformerFactory(metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme()), 0)},
			counting:  &counting{informers: factory(), found: make(chan struct{})},
		}
		d.counting.find = sync.OnceFunc(func() { close(d.counting.found) })
		var built, ran atomic.Int32
		run, err := d.fromTheFirst(d.informers.typed.Core().V1().ResourceQuotas().Informer(), func(context.Context) (loop, error) {
			if built.Add(1) == 1 {
				return nil, errors.New("not yet")
			}
			d.counting.informers.Core().V1().Pods().Informer()
			return func(ctx context.Context) {
				if cache.WaitForCacheSync(ctx.Done(), d.counting.informers.Core().V1().Pods().Informer().HasSynced) {
					ran.Add(1)
				}
				<-ctx.Done()
			}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		d.informers.Start(ctx.Done())
		go func() { run(ctx); close(ended) }()
		synctest.Wait()
		if built.Load() != 0 {
			t.Error("nothing is built while there is nothing to do")
		}
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all"}}
		if _, err := client.CoreV1().ResourceQuotas("shop").Create(ctx, quota, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * buildAgain) // of the bubble's clock
		synctest.Wait()
		if built.Load() != 2 || ran.Load() != 1 {
			t.Errorf("the controller is built with the first object, again after a failure, and runs over Pods: built %d times, ran %d", built.Load(), ran.Load())
		}
		cancel()
		<-ended
		d.informers.typed.Shutdown()
		d.informers.metadata.Shutdown()
		d.counting.informers.Shutdown()
	})
}

func TestTrimPod(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{"a": "b"}, ManagedFields: []metav1.ManagedFieldsEntry{{}}},
		Spec: corev1.PodSpec{
			Volumes:    []corev1.Volume{{Name: "v"}},
			Containers: []corev1.Container{{Name: "c", Image: "i", Env: []corev1.EnvVar{{Name: "e"}}, Resources: corev1.ResourceRequirements{Claims: []corev1.ResourceClaim{{Name: "gpu"}}}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	want := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{"a": "b"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Claims: []corev1.ResourceClaim{{Name: "gpu"}}}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	got, err := trimPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what counts stays, -want, +got:\n%s", diff)
	}
}
