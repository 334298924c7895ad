// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package pods

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/controllers/cluster"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

// pod is a bare Pod that is being deleted.
func pod(change func(*corev1.Pod)) *corev1.Pod {
	made := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "web", UID: "a", DeletionTimestamp: new(metav1.Now()), DeletionGracePeriodSeconds: new(int64(30)),
	}}
	if change != nil {
		change(made)
	}
	return made
}

// binding is that of the Pod, with the members that have it and those that are to end it.
func binding(uid string, clusters, tombstones []string) *workv1alpha1.ResourceBinding {
	made := &workv1alpha1.ResourceBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-pod"}}
	made.Spec.Resource = workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web", UID: "a"}
	if uid != "" {
		made.Spec.Resource.UID = "b"
	}
	for _, name := range clusters {
		made.Spec.Clusters = append(made.Spec.Clusters, workv1alpha1.TargetCluster{Name: name})
	}
	for _, name := range tombstones {
		made.Spec.Tombstones = append(made.Spec.Tombstones, workv1alpha1.Tombstone{ClusterName: name, UID: "a"})
	}
	return made
}

func member(name string, ready metav1.ConditionStatus) *clusterv1alpha1.Cluster {
	made := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}}
	made.Status.Conditions = []metav1.Condition{{Type: clusterv1alpha1.ClusterConditionReady, Status: ready}}
	return made
}

// rig is a running controller on fake API servers, in a bubble of fake time.
type rig struct {
	*testing.T
	kube  *fake.Clientset
	fleet *fleetfake.Clientset
}

func run(t *testing.T, pod *corev1.Pod, fleet []runtime.Object, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &rig{T: t, kube: fake.NewClientset(pod), fleet: fleetfake.NewClientset(fleet...)}
		kube := informers.NewSharedInformerFactory(r.kube, 0)
		own := fleetinformers.NewSharedInformerFactoryWithOptions(r.fleet, 0, fleetinformers.WithTransform(func(object any) (any, error) {
			return cluster.Trim(object.(runtime.Object).DeepCopyObject())
		}))
		controller, err := New(Dependencies{KubeClient: r.kube, FleetClient: r.fleet, KubeInformers: kube, FleetInformers: own, Clock: clock.RealClock{}})
		if err != nil {
			t.Fatal(err)
		}
		kube.Start(ctx.Done())
		own.Start(ctx.Done())
		done := make(chan struct{})
		go func() { defer close(done); controller.Run(ctx) }()
		r.pass(time.Second)
		test(r)
		cancel()
		<-done
		kube.Shutdown()
		own.Shutdown()
	})
}

func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// ended returns true when the Pod was deleted for good.
func (r *rig) ended() bool {
	r.Helper()
	for _, action := range r.kube.Actions() {
		deletion, ok := action.(clienttesting.DeleteActionImpl)
		if !ok {
			continue
		}
		options := deletion.DeleteOptions
		if *options.GracePeriodSeconds != 0 || *options.Preconditions.UID != "a" {
			r.Errorf("want the very Pod deleted at once, got %+v", options)
		}
		return true
	}
	return false
}

func TestReconcile(t *testing.T) {
	ready, silent := member("m1", metav1.ConditionTrue), member("m2", metav1.ConditionUnknown)
	cases := map[string]struct {
		reason string
		pod    *corev1.Pod
		fleet  []runtime.Object
		want   bool
	}{
		"NoBinding":  {reason: "members confirmed while nobody looked", pod: pod(nil), fleet: []runtime.Object{ready}, want: true},
		"Confirmed":  {reason: "no member has it any more", pod: pod(nil), fleet: []runtime.Object{ready, binding("", nil, nil)}, want: true},
		"Placed":     {reason: "the scheduler has yet to take it out of its member", pod: pod(nil), fleet: []runtime.Object{ready, binding("", []string{"m1"}, nil)}},
		"Tombstone":  {reason: "the member has yet to confirm", pod: pod(nil), fleet: []runtime.Object{ready, silent, binding("", nil, []string{"m1", "m2"})}},
		"Silent":     {reason: "nobody waits for a member that does not answer", pod: pod(nil), fleet: []runtime.Object{ready, silent, binding("", nil, []string{"m2"})}, want: true},
		"NoCluster":  {reason: "the member left", pod: pod(nil), fleet: []runtime.Object{binding("", []string{"m9"}, nil)}, want: true},
		"OtherUID":   {reason: "the binding is that of another Pod of the name", pod: pod(nil), fleet: []runtime.Object{ready, binding("b", []string{"m1"}, nil)}, want: true},
		"Alive":      {reason: "nobody deleted it", pod: pod(func(p *corev1.Pod) { p.DeletionTimestamp = nil }), fleet: []runtime.Object{ready}},
		"Finalizers": {reason: "it has ended, and waits for others", pod: pod(func(p *corev1.Pod) { p.DeletionGracePeriodSeconds = new(int64(0)) }), fleet: []runtime.Object{ready}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run(t, tc.pod, tc.fleet, func(r *rig) {
				if got := r.ended(); got != tc.want {
					t.Errorf("%s: ended %t, want %t", tc.reason, got, tc.want)
				}
			})
		})
	}
}

func TestEndsWhenTheBindingGoes(t *testing.T) {
	run(t, pod(nil), []runtime.Object{member("m1", metav1.ConditionTrue), binding("", nil, []string{"m1"})}, func(r *rig) {
		r.pass(30 * time.Second)
		if r.ended() {
			t.Fatal("the member has not confirmed, and the Pod is gone")
		}
		if err := r.fleet.WorkV1alpha1().ResourceBindings("shop").Delete(t.Context(), "web-pod", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !r.ended() {
			t.Error("the Pod goes with its binding, not some time after")
		}
	})
}

func TestEndsWhenTheMemberFallsSilent(t *testing.T) {
	run(t, pod(nil), []runtime.Object{member("m1", metav1.ConditionTrue), binding("", nil, []string{"m1"})}, func(r *rig) {
		if _, err := r.fleet.ClusterV1alpha1().Clusters().Update(t.Context(), member("m1", metav1.ConditionUnknown), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r.pass(recheck + time.Second)
		if !r.ended() {
			t.Error("the Pod still waits for a member that does not answer")
		}
	})
}

func TestTriesAgain(t *testing.T) {
	run(t, pod(nil), []runtime.Object{member("m1", metav1.ConditionTrue), binding("", nil, []string{"m1"})}, func(r *rig) {
		failed := false
		r.fleet.PrependReactor("get", "resourcebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
			if failed {
				return false, nil, nil
			}
			failed = true
			// An error that is not worth a word: to log waits by the real clock.
			return true, nil, apierrors.NewConflict(workv1alpha1.Resource("resourcebindings"), "web-pod", nil)
		})
		r.pass(recheck)
		if !failed || r.ended() {
			t.Fatalf("an API server that fails confirms nothing: asked %t, ended %t", failed, r.ended())
		}
		if err := r.fleet.WorkV1alpha1().ResourceBindings("shop").Delete(t.Context(), "web-pod", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Second)
		if !r.ended() {
			t.Error("the Pod goes once the API server answers again")
		}
	})
}
