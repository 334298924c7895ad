// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package packing

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const (
	workloads, wave = 500, 50
	// mostMissed is the share of Pods, in a thousand, that may wait in a member.
	mostMissed = 10
	// patience is how long a wave may take to be placed, or refused, and for
	// members to bind its Pods.
	patience = 3 * time.Minute
	// reconsidered is how long what was refused may wait although it fits: until
	// members have reported, and promises have lapsed.
	reconsidered = time.Minute
)

// outcome is what became of the workloads so far.
type outcome struct {
	placed, refused   int // workloads
	pods, missed      int
	refusedWithoutDue int
}

// TestBenchPacking has 500 workloads of random shape come and go on three tight members.
func TestBenchPacking(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	r := newRig(t, random)
	var out outcome
	live := map[string]*appsv1.Deployment{}
	for n := 0; n < workloads; n += wave {
		fresh := map[string]*appsv1.Deployment{}
		for i := range wave {
			d := randomWorkload(random, fmt.Sprintf("w%03d", n+i))
			fresh[d.Name] = d
		}
		r.create(fresh)
		r.look(fresh, &out)
		maps.Copy(live, fresh)
		r.leave(random, live)
	}
	t.Logf("%d workloads, %d placed, %d did not fit; of %d Pods placed %d found no node (%.2f %%); %d workloads waited although they fit",
		workloads, out.placed, out.refused, out.pods, out.missed, 100*float64(out.missed)/float64(max(out.pods, 1)), out.refusedWithoutDue)
	if out.missed*1000 > out.pods*mostMissed {
		t.Errorf("%d of %d Pods found no node in their member, more than %d in 1000", out.missed, out.pods, mostMissed)
	}
	if out.refusedWithoutDue > 0 {
		t.Errorf("%d workloads waited although they fit", out.refusedWithoutDue)
	}
	if out.pods < workloads/2 || out.refused < workloads/20 {
		t.Errorf("%d Pods were placed and %d workloads refused: the members were not tight", out.pods, out.refused)
	}
}

func (r *rig) create(fresh map[string]*appsv1.Deployment) {
	r.Helper()
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		if _, err := r.kube.AppsV1().Deployments(namespace).Create(r.Context(), fresh[name], metav1.CreateOptions{}); err != nil {
			r.Fatalf("create %s: %v", name, err)
		}
	}
}

// look waits until it is settled what becomes of a wave, and counts it.
func (r *rig) look(fresh map[string]*appsv1.Deployment, out *outcome) {
	r.Helper()
	r.settle(fresh)
	out.refusedWithoutDue += r.without(fresh)
	seen := r.settle(fresh)
	for name := range fresh {
		pods := seen.podsOf(name)
		out.pods += len(pods)
		for _, pod := range pods {
			if pod.Spec.NodeName == "" {
				out.missed++
				r.Logf("no node for %s/%s: %s", pod.Labels[memberLabel], pod.Name, podScheduled(&pod).Message)
			}
		}
		if len(seen.clusters(name)) > 0 {
			out.placed++
		} else {
			out.refused++
		}
	}
}

func (r *rig) settle(fresh map[string]*appsv1.Deployment) (seen *view) {
	r.Helper()
	r.await(patience, "the wave to settle", func(ctx context.Context) error {
		var err error
		if seen, err = r.view(ctx); err != nil {
			return err
		}
		return seen.settled(fresh)
	})
	return seen
}

// without counts the workloads that are refused although they fit.
func (r *rig) without(fresh map[string]*appsv1.Deployment) int {
	var names []string
	deadline := time.Now().Add(reconsidered)
	_ = wait.PollUntilContextCancel(r.Context(), time.Second, true, func(ctx context.Context) (bool, error) {
		seen, err := r.view(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // it is looked at again
		}
		names = nil
		for name, d := range fresh {
			if len(seen.clusters(name)) == 0 && seen.fits(d) {
				names = append(names, name)
			}
		}
		return len(names) == 0 || time.Now().After(deadline), nil
	})
	for _, name := range names {
		r.Logf("%s waits although it fits", name)
	}
	return len(names)
}

// leave deletes what was refused and half of the rest.
func (r *rig) leave(random *rand.Rand, live map[string]*appsv1.Deployment) {
	r.Helper()
	seen, err := r.view(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(live)) {
		if len(seen.clusters(name)) > 0 && chance(random, 50) {
			continue
		}
		delete(live, name)
		if err := r.kube.AppsV1().Deployments(namespace).Delete(r.Context(), name, metav1.DeleteOptions{}); err != nil {
			r.Fatalf("delete %s: %v", name, err)
		}
	}
}

func (r *rig) await(patience time.Duration, what string, done func(context.Context) error) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	var last error
	if err := wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		if err := done(ctx); err != nil {
			if ctx.Err() == nil {
				last = err
			}
			return false, nil
		}
		return true, nil
	}); err != nil {
		r.Fatalf("waited %s for %s: %v", patience, what, last)
	}
}

// memberLabel is put on Pods of a view to tell where they are.
const memberLabel = "member"

// view is the fleet and its members at one time.
type view struct {
	bindings map[string]workv1alpha1.ResourceBinding // by Deployment
	packers  map[string]packer                       // by member
}

func (r *rig) view(ctx context.Context) (*view, error) {
	v := &view{bindings: map[string]workv1alpha1.ResourceBinding{}, packers: map[string]packer{}}
	bindings, err := r.fleet.WorkV1alpha1().ResourceBindings(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, b := range bindings.Items {
		if b.Spec.Resource.Kind == "Deployment" {
			v.bindings[b.Spec.Resource.Name] = b
		}
	}
	for name, client := range r.members {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		pods, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for i := range pods.Items {
			metav1.SetMetaDataLabel(&pods.Items[i].ObjectMeta, memberLabel, name)
		}
		v.packers[name] = packer{nodes: nodes.Items, pods: pods.Items}
	}
	return v, nil
}

func (v *view) clusters(name string) []workv1alpha1.TargetCluster {
	return v.bindings[name].Spec.Clusters
}

func (v *view) podsOf(name string) (pods []corev1.Pod) {
	for _, p := range v.packers {
		for i := range p.pods {
			if p.pods[i].Labels[workloadLabel] == name {
				pods = append(pods, p.pods[i])
			}
		}
	}
	return pods
}

// fits reports whether all replicas would find a node somewhere.
func (v *view) fits(d *appsv1.Deployment) bool {
	pod := &corev1.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: d.Spec.Template.Spec}
	var n int64
	for _, p := range v.packers {
		n += p.fits(pod)
	}
	return n >= int64(*d.Spec.Replicas)
}

// settled says what a wave waits for, nil when each workload is refused, or placed
// and each of its Pods has a node, or was found to fit none.
func (v *view) settled(fresh map[string]*appsv1.Deployment) error {
	for name, d := range fresh {
		binding := v.bindings[name]
		scheduled := meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionScheduled)
		if scheduled == nil {
			return fmt.Errorf("%s is not decided about", name)
		}
		if len(binding.Spec.Clusters) == 0 {
			continue
		}
		pods := v.podsOf(name)
		if len(pods) != int(*d.Spec.Replicas) {
			return fmt.Errorf("%s has %d Pods of %d", name, len(pods), *d.Spec.Replicas)
		}
		for i := range pods {
			if pods[i].Spec.NodeName == "" && podScheduled(&pods[i]).Reason != corev1.PodReasonUnschedulable {
				return fmt.Errorf("Pod %s of %s has no node yet", pods[i].Name, pods[i].Labels[memberLabel])
			}
		}
	}
	return nil
}

func podScheduled(pod *corev1.Pod) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return c
		}
	}
	return corev1.PodCondition{}
}
