// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	resourcehelper "k8s.io/component-helpers/resource"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	corev1defaults "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/utils/ptr"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/capacity"
)

func readDeployment(d *appsv1.Deployment) Traits {
	return replicated(d.Namespace, d.Spec.Replicas, &d.Spec.Template)
}

func readReplicaSet(r *appsv1.ReplicaSet) Traits {
	return replicated(r.Namespace, r.Spec.Replicas, &r.Spec.Template)
}

func readStatefulSet(s *appsv1.StatefulSet) Traits {
	return replicated(s.Namespace, s.Spec.Replicas, &s.Spec.Template)
}

func readReplicationController(r *corev1.ReplicationController) Traits {
	if r.Spec.Template == nil {
		return replicated(r.Namespace, r.Spec.Replicas, &corev1.PodTemplateSpec{})
	}
	return replicated(r.Namespace, r.Spec.Replicas, r.Spec.Template)
}

func readDaemonSet(d *appsv1.DaemonSet) Traits {
	return runs(d.Namespace, 0, &d.Spec.Template)
}

func readPod(p *corev1.Pod) Traits {
	traits := runs(p.Namespace, 1, &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec})
	traits.Workload.Finished = p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	return traits
}

func readJob(j *batchv1.Job) Traits {
	traits := runs(j.Namespace, ptr.Deref(j.Spec.Parallelism, 1), &j.Spec.Template)
	workload := traits.Workload
	// Each member would count its indexes from 0.
	workload.Divisible = ptr.Deref(j.Spec.CompletionMode, batchv1.NonIndexedCompletion) != batchv1.IndexedCompletion
	for _, c := range j.Status.Conditions {
		ended := c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed
		workload.Finished = workload.Finished || ended && c.Status == corev1.ConditionTrue
	}
	return traits
}

func readCronJob(c *batchv1.CronJob) Traits {
	job := &c.Spec.JobTemplate.Spec
	return runs(c.Namespace, ptr.Deref(job.Parallelism, 1), &job.Template)
}

func readRoleBinding(b *rbacv1.RoleBinding) Traits {
	return Traits{NamedOnly: !onlyServiceAccounts(b.Subjects)}
}

func readClusterRoleBinding(b *rbacv1.ClusterRoleBinding) Traits {
	return Traits{NamedOnly: !onlyServiceAccounts(b.Subjects)}
}

// onlyServiceAccounts reports whether the subjects exist in members as well.
// Users and groups are known to the fleet; what they may do in a member is for
// its own administrator to say.
func onlyServiceAccounts(subjects []rbacv1.Subject) bool {
	return len(subjects) > 0 && !slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		return s.Kind != rbacv1.ServiceAccountKind
	})
}

func replicated(namespace string, replicas *int32, pods *corev1.PodTemplateSpec) Traits {
	traits := runs(namespace, ptr.Deref(replicas, 1), pods)
	traits.Workload.Replicated, traits.Workload.Divisible = true, true
	return traits
}

// runs are the traits of what runs so many Pods.
func runs(namespace string, pods int32, from *corev1.PodTemplateSpec) Traits {
	pod := podOf(namespace, from)
	return Traits{
		Workload: &Workload{
			Pods: pods, Requirements: requirements(namespace, &pod.Spec), Constraints: capacity.ConstraintsOf(pod),
			Claims: claims(&from.Spec), Labels: from.Labels,
		},
		Links: linksOf(Links{Needs: needs(namespace, &from.Spec)}),
	}
}

// podOf is a Pod of a template as a member defaults it: what has limits and no
// requests requests its limits, for one.
func podOf(namespace string, from *corev1.PodTemplateSpec) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Labels: from.Labels}, Spec: *from.Spec.DeepCopy()}
	corev1defaults.SetDefaults_Pod(pod)
	return pod
}

// needs are the objects Pods cannot start, or not work, without. The default
// ServiceAccount is in every member.
func needs(namespace string, spec *corev1.PodSpec) []Key {
	var keys []Key
	add := func(kind string) podutil.Visitor {
		return func(name string) bool {
			keys = append(keys, Key{Kind: kind, Namespace: namespace, Name: name})
			return true
		}
	}
	pod := &corev1.Pod{Spec: *spec}
	podutil.VisitPodConfigmapNames(pod, add("ConfigMap"))
	podutil.VisitPodSecretNames(pod, add("Secret"))
	if spec.ServiceAccountName != "default" {
		add("ServiceAccount")(spec.ServiceAccountName)
	}
	for _, claim := range claims(spec) {
		add("PersistentVolumeClaim")(claim)
	}
	return keys
}

func requirements(namespace string, spec *corev1.PodSpec) *workv1alpha1.ReplicaRequirements {
	requests := resourcehelper.PodRequests(&corev1.Pod{Spec: *spec}, resourcehelper.PodResourcesOptions{})
	for name, quantity := range requests {
		if quantity.IsZero() {
			delete(requests, name)
		}
	}
	if len(requests) == 0 {
		requests = nil
	}
	return &workv1alpha1.ReplicaRequirements{
		NodeClaim:         nodeClaim(spec),
		ResourceRequest:   requests,
		Namespace:         namespace,
		PriorityClassName: spec.PriorityClassName,
	}
}

func nodeClaim(spec *corev1.PodSpec) *workv1alpha1.NodeClaim {
	claim := &workv1alpha1.NodeClaim{NodeSelector: spec.NodeSelector, Tolerations: spec.Tolerations}
	if spec.Affinity != nil && spec.Affinity.NodeAffinity != nil {
		claim.HardNodeAffinity = spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if len(claim.NodeSelector) == 0 && len(claim.Tolerations) == 0 && claim.HardNodeAffinity == nil {
		return nil
	}
	return claim
}

func claims(spec *corev1.PodSpec) []string {
	var names []string
	for _, volume := range spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			names = append(names, volume.PersistentVolumeClaim.ClaimName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
