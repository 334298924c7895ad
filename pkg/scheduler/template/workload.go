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
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	jobutil "k8s.io/kubernetes/pkg/controller/job/util"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/podspec"
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
	if p.Spec.NodeName != "" {
		traits.Workload.Nodes.Bound = p.Spec.NodeName
	}
	traits.Workload.Finished = podutil.IsPodPhaseTerminal(p.Status.Phase)
	return traits
}

func readJob(j *batchv1.Job) Traits {
	traits := runs(j.Namespace, ptr.Deref(j.Spec.Parallelism, 1), &j.Spec.Template)
	workload := traits.Workload
	// Each member would count its indexes from 0.
	workload.Divisible = ptr.Deref(j.Spec.CompletionMode, batchv1.NonIndexedCompletion) != batchv1.IndexedCompletion
	workload.Finished = jobutil.IsJobFinished(j)
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
	pod := podspec.PodOf(namespace, from)
	return Traits{
		Workload: &Workload{
			Pods: pods, Requirements: podspec.Requirements(namespace, &pod.Spec), Constraints: capacity.ConstraintsOf(pod),
			Claims: podspec.Claims(&from.Spec), Labels: from.Labels, Nodes: podspec.NodesOf(&from.Spec),
		},
		Links: linksOf(Links{Needs: needs(namespace, &from.Spec)}),
	}
}

func needs(namespace string, spec *corev1.PodSpec) []Key {
	var keys []Key
	for _, reference := range podspec.References(spec) {
		keys = append(keys, Key{Kind: reference.Kind, Namespace: namespace, Name: reference.Name})
	}
	return keys
}
