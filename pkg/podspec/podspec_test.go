// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package podspec

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

func container(cpu string) corev1.Container {
	return corev1.Container{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}}
}

func TestRequirements(t *testing.T) {
	terms := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name"}}}}}
	cases := map[string]struct {
		reason string
		spec   corev1.PodSpec
		want   *workv1alpha1.ReplicaRequirements
	}{
		"Nothing": {
			reason: "A Pod that asks for nothing still counts to its namespace.",
			want:   &workv1alpha1.ReplicaRequirements{Namespace: "shop"},
		},
		"Sum": {
			reason: "Containers run at once; those that initialise run before.",
			spec:   corev1.PodSpec{InitContainers: []corev1.Container{container("250m")}, Containers: []corev1.Container{container("100m"), container("200m")}},
			want: &workv1alpha1.ReplicaRequirements{
				Namespace: "shop", ResourceRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("300m")},
			},
		},
		"Zero": {
			reason: "A request of nothing is none.",
			spec:   corev1.PodSpec{Containers: []corev1.Container{container("0")}},
			want:   &workv1alpha1.ReplicaRequirements{Namespace: "shop"},
		},
		"Node": {
			reason: "What it needs from a node, and its priority.",
			spec: corev1.PodSpec{
				PriorityClassName: "high",
				NodeSelector:      map[string]string{"disk": "ssd"},
				Tolerations:       []corev1.Toleration{{Key: "gpu"}},
				Affinity:          &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms}},
			},
			want: &workv1alpha1.ReplicaRequirements{
				Namespace: "shop", PriorityClassName: "high",
				NodeClaim: &workv1alpha1.NodeClaim{
					NodeSelector: map[string]string{"disk": "ssd"}, Tolerations: []corev1.Toleration{{Key: "gpu"}}, HardNodeAffinity: terms,
				},
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Requirements("shop", &tc.spec)); diff != "" {
				t.Errorf("\n%s\nRequirements(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPodOf(t *testing.T) {
	template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}},
	}}}}
	before := template.DeepCopy()
	got := PodOf("shop", template)
	if cpu := got.Spec.Containers[0].Resources.Requests.Cpu(); cpu.String() != "2" || got.Namespace != "shop" {
		t.Errorf("a limit is a request when there is none, got %v in %q", cpu, got.Namespace)
	}
	if diff := cmp.Diff(before, template); diff != "" {
		t.Errorf("the template was changed: -before, +after:\n%s", diff)
	}
}

func TestReferences(t *testing.T) {
	spec := corev1.PodSpec{
		ServiceAccountName: "robot",
		ImagePullSecrets:   []corev1.LocalObjectReference{{Name: "pull"}},
		InitContainers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "env"}}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "pull"}}},
		}}},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
			{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}},
			}}}},
		},
	}
	want := []Reference{
		{Kind: "ConfigMap", Name: "env"},
		{Kind: "PersistentVolumeClaim", Name: "data"},
		{Kind: "Secret", Name: "pull"},
		{Kind: "ServiceAccount", Name: "robot"},
	}
	if diff := cmp.Diff(want, References(&spec)); diff != "" {
		t.Errorf("References(...): -want, +got:\n%s", diff)
	}
	if got := References(&corev1.PodSpec{ServiceAccountName: "default"}); got != nil {
		t.Errorf("the default service account is everywhere, got %v", got)
	}
}
