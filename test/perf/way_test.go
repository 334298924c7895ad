// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"errors"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1apply "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// workload is one Deployment over all members.
type workload struct {
	namespace string
	name      string
	replicas  int32
	image     string
}

func (w workload) key() string { return key(w.namespace, w.name) }

// way is one way to run workloads on the members.
type way interface {
	// name for reports; also the namespace of its workloads.
	name() string
	// apply applies the workload and returns when that is acknowledged.
	apply(ctx context.Context, w workload) error
	// remove deletes the workload and returns when that is acknowledged.
	remove(ctx context.Context, w workload) error
	// complete tells whether whoever applied the workload sees it run in full.
	complete(w workload, v view) bool
}

// manager is the field manager of both ways.
const manager = "bench"

// throughFleet applies to the fleet.
type throughFleet struct {
	fleetClient kubernetes.Interface
}

func (throughFleet) name() string { return "fleet" }

func (f throughFleet) apply(ctx context.Context, w workload) error {
	return applyTo(ctx, f.fleetClient, w, w.replicas)
}

func (f throughFleet) remove(ctx context.Context, w workload) error {
	return f.fleetClient.AppsV1().Deployments(w.namespace).Delete(ctx, w.name, metav1.DeleteOptions{})
}

// complete asks the fleet's own Deployment, as its user does.
func (throughFleet) complete(w workload, v view) bool {
	return v.fleet != nil && rolledOut(v.fleet, w.image) && v.fleet.Status.AvailableReplicas == w.replicas
}

// direct applies to every member at once, an equal share each.
type direct struct {
	memberClients map[string]kubernetes.Interface
	order         []string
}

func (direct) name() string { return "direct" }

func (d direct) apply(ctx context.Context, w workload) error {
	return d.each(func(i int, memberClient kubernetes.Interface) error {
		return applyTo(ctx, memberClient, w, share(w.replicas, i, len(d.order)))
	})
}

func (d direct) remove(ctx context.Context, w workload) error {
	return d.each(func(_ int, memberClient kubernetes.Interface) error {
		return memberClient.AppsV1().Deployments(w.namespace).Delete(ctx, w.name, metav1.DeleteOptions{})
	})
}

// each does something to all members side by side.
func (d direct) each(do func(i int, memberClient kubernetes.Interface) error) error {
	errs := make([]error, len(d.order))
	var group sync.WaitGroup
	for i, name := range d.order {
		group.Go(func() { errs[i] = do(i, d.memberClients[name]) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// complete asks the Deployments of all members.
func (d direct) complete(w workload, v view) bool {
	var available int32
	for _, deployment := range v.members {
		if !rolledOut(deployment, w.image) {
			return false
		}
		available += deployment.Status.AvailableReplicas
	}
	return available == w.replicas
}

// share is the i-th of n nearly equal shares of replicas.
func share(replicas int32, i, n int) int32 {
	out := replicas / int32(n)
	if int32(i) < replicas%int32(n) {
		out++
	}
	return out
}

// applied tells whether the members together are told to run the workload.
func applied(w workload, v view) bool {
	var replicas int32
	for _, d := range v.members {
		if d.Spec.Template.Spec.Containers[0].Image != w.image {
			return false
		}
		replicas += *d.Spec.Replicas
	}
	return replicas == w.replicas
}

// gone tells whether no member has the workload.
func gone(v view) bool { return len(v.members) == 0 }

// rolledOut is what "kubectl rollout status" asks for.
func rolledOut(d *appsv1.Deployment, image string) bool {
	want := *d.Spec.Replicas
	s := d.Status
	return d.Spec.Template.Spec.Containers[0].Image == image && s.ObservedGeneration >= d.Generation &&
		s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want
}

// applyTo applies a workload with a number of replicas to one API server.
func applyTo(ctx context.Context, server kubernetes.Interface, w workload, replicas int32) error {
	labels := map[string]string{"app": w.name}
	deployment := appsv1apply.Deployment(w.name, w.namespace).WithLabels(labels).WithSpec(appsv1apply.DeploymentSpec().
		WithReplicas(replicas).
		WithSelector(metav1apply.LabelSelector().WithMatchLabels(labels)).
		WithTemplate(corev1apply.PodTemplateSpec().WithLabels(labels).
			WithSpec(corev1apply.PodSpec().WithContainers(corev1apply.Container().WithName("web").WithImage(w.image)))))
	_, err := server.AppsV1().Deployments(w.namespace).Apply(ctx, deployment, metav1.ApplyOptions{FieldManager: manager})
	return err
}
