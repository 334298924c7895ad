// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package informer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// restarts is how often a member and a server are restarted each.
	restarts = 20
	// fewest and most replicas, in each member, of the workload that changes.
	fewest, most = 5, 15
)

// TestInformer has a client-go informer follow Pods while members and API servers are
// restarted under it, and clients are sent to a second server half-way. At the end of each
// round it has to have what a list says, which has to be what members have; it may have
// listed once, and once for each server that it had not talked to.
func TestInformer(t *testing.T) {
	const namespace = "informed"
	newNamespace(t, namespace)
	createDeployment(t, bed.kube, namespace, "web", fewest)
	other := startSecond(t)
	balancer := newBalancer(t, bed.config)
	followed := follow(t, balancer.URL, namespace)
	kube := bed.kube // of the server that clients are sent to
	settle := func(what string) {
		t.Helper()
		took := eventually(t, what, func(ctx context.Context) error { return checkSame(ctx, kube, followed, namespace) })
		t.Logf("%s: %d Pods, the same after %s; so far %+v", what, len(followed.ListKeys()), took.Round(100*time.Millisecond), balancer.read())
	}
	settle("start")
	for round := range restarts {
		if round == restarts/2 {
			kube = other.kube
			balancer.direct(t, other.config)
			settle("switch to the second server")
		}
		stop := churn(t, kube, namespace)
		restarted := bed.members[round%len(bed.members)]
		if err := restarted.APIServer.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := restarted.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if round < restarts/2 {
			if err := bed.fleet.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else {
			other.restart(t)
		}
		stop()
		settle(fmt.Sprintf("round %d, %s and the server restarted", round+1, restarted.Name()))
	}
	counts := balancer.read()
	if want := 1 + restarts + 1; counts.lists < want/2 || counts.lists > want+2 {
		t.Errorf("all Pods were read %d times, want once at the start and once for each server that was new, %d", counts.lists, want)
	}
	if all := counts.lists + counts.watches + counts.expired + counts.failed; all > 20*restarts {
		t.Errorf("%d requests in %d rounds: %+v", all, restarts, counts)
	}
}

// follow runs an informer for Pods of a namespace and returns its store.
func follow(t *testing.T, host, namespace string) cache.Store {
	t.Helper()
	kube, err := kubernetes.NewForConfig(&rest.Config{Host: host, ContentConfig: rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf"}})
	if err != nil {
		t.Fatal(err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(namespace))
	pods := factory.Core().V1().Pods().Informer()
	factory.StartWithContext(t.Context())
	t.Cleanup(factory.Shutdown)
	return pods.GetStore()
}

// checkSame checks that an informer has what a list says, and that this is what members
// have.
func checkSame(ctx context.Context, kube kubernetes.Interface, followed cache.Store, namespace string) error {
	listed, err := kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	want, shown := map[string]string{}, map[types.UID]string{}
	for i := range listed.Items {
		pod := &listed.Items[i]
		want[pod.Name] = fmt.Sprint(pod.UID, " in version ", pod.ResourceVersion)
		shown[pod.UID] = pod.Spec.NodeName
		if found, ok, err := followed.GetByKey(namespace + "/" + pod.Name); err == nil && ok && found.(*corev1.Pod).ResourceVersion == pod.ResourceVersion &&
			!equality.Semantic.DeepEqual(pod, found) {
			return fmt.Errorf("the informer has another Pod %s: -list +informer:\n%s", pod.Name, cmp.Diff(pod, found))
		}
	}
	got := map[string]string{}
	for _, object := range followed.List() {
		pod := object.(*corev1.Pod)
		got[pod.Name] = fmt.Sprint(pod.UID, " in version ", pod.ResourceVersion)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("the informer has other Pods than a list: -list +informer:\n%s", diff)
	}
	have := map[types.UID]string{}
	for _, m := range bed.members {
		pods, err := m.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: wellknown.LabelTemplate})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			have[pods.Items[i].UID] = ""
			if node := pods.Items[i].Spec.NodeName; node != "" {
				have[pods.Items[i].UID] = node + "." + m.Name()
			}
		}
	}
	if diff := cmp.Diff(have, shown); diff != "" || len(have) < fewest*len(bed.members) {
		return fmt.Errorf("want at least %d Pods in each member, as members have them: -members +list:\n%s", fewest, diff)
	}
	return nil
}

// createDeployment stores a Deployment whose Pods run on all members.
func createDeployment(t *testing.T, kube kubernetes.Interface, namespace, name string, replicas int32) {
	t.Helper()
	labels := map[string]string{"app": name}
	_, err := kube.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}, TerminationGracePeriodSeconds: new(int64)},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// churn changes Pods through the fleet and in members until it is stopped: most of it
// fails while they are restarted.
func churn(t *testing.T, kube kubernetes.Interface, namespace string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)) //nolint:gosec // anything
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for step := 0; ctx.Err() == nil; step++ {
			changeSomething(ctx, kube, namespace, random, step)
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// changeSomething scales the workload, deletes one of its Pods in a member, or annotates
// one through the fleet. What cannot be reached is left.
func changeSomething(ctx context.Context, kube kubernetes.Interface, namespace string, random *rand.Rand, step int) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	m := bed.members[random.IntN(len(bed.members))]
	from := m.kube
	if step%3 == 1 {
		from = kube
	}
	if step%10 == 0 {
		patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, fewest+random.IntN(most-fewest+1))
		_, _ = kube.AppsV1().Deployments(namespace).Patch(ctx, "web", types.MergePatchType, patch, metav1.PatchOptions{})
		return
	}
	pods, err := from.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil || len(pods.Items) == 0 {
		return
	}
	name := pods.Items[random.IntN(len(pods.Items))].Name
	if from == m.kube {
		_ = from.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
		return
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"step":"%d"}}}`, step)
	_, _ = from.CoreV1().Pods(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
}
