// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"
)

func TestAdmit(t *testing.T) {
	account := func(name string, automount *bool) *corev1.ServiceAccount {
		return &corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, AutomountServiceAccountToken: automount,
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
		}
	}
	const mount = serviceaccount.DefaultAPITokenMountPath
	pull := []core.LocalObjectReference{{Name: "pull"}}
	type want struct {
		Account string
		Mounts  []string
		Volumes int
		Pull    []core.LocalObjectReference
	}
	cases := map[string]struct {
		reason      string
		spec        core.PodSpec
		mirror      bool
		subresource string
		want        want
	}{
		"Default": {
			reason: "A Pod that names no ServiceAccount gets the one each namespace has.",
			want:   want{Account: "default", Mounts: []string{mount}, Volumes: 1, Pull: pull},
		},
		"AccountOptsOut": {
			reason: "The ServiceAccount says that no token is mounted.",
			spec:   core.PodSpec{ServiceAccountName: "nomount"},
			want:   want{Account: "nomount", Pull: pull},
		},
		"PodOptsOut": {
			reason: "The Pod says so.",
			spec:   core.PodSpec{AutomountServiceAccountToken: new(false)},
			want:   want{Account: "default", Pull: pull},
		},
		"PodOptsIn": {
			reason: "The Pod has the last word.",
			spec:   core.PodSpec{ServiceAccountName: "nomount", AutomountServiceAccountToken: new(true)},
			want:   want{Account: "nomount", Mounts: []string{mount}, Volumes: 1, Pull: pull},
		},
		"Unknown": {
			reason: "A ServiceAccount that is not there yet is for the member to miss.",
			spec:   core.PodSpec{ServiceAccountName: "later"},
			want:   want{Account: "later"},
		},
		"Mirror":      {reason: "A mirror Pod is as its kubelet says.", mirror: true},
		"Subresource": {reason: "A binding or eviction is no new Pod.", subresource: "eviction"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			// The informer has seen nothing yet, so that the fleet is asked.
			client := fake.NewClientset(account("default", nil), account("nomount", new(false)))
			p := New()
			p.SetExternalKubeClientSet(client)
			p.SetExternalKubeInformerFactory(informers.NewSharedInformerFactory(client, 0))
			if err := p.ValidateInitialization(); err != nil {
				t.Fatal(err)
			}
			pod := &core.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: tc.spec}
			pod.Spec.Containers = []core.Container{{Name: "web"}}
			if tc.mirror {
				pod.Annotations = map[string]string{core.MirrorPodAnnotationKey: "x"}
			}
			a := admission.NewAttributesRecord(pod, nil, core.Kind("Pod").WithVersion("v1"), "shop", "web",
				core.Resource("pods").WithVersion("v1"), tc.subresource, admission.Create, &metav1.CreateOptions{}, false, nil)
			if err := p.Admit(t.Context(), a, nil); err != nil {
				t.Fatal(err)
			}
			got := want{Account: pod.Spec.ServiceAccountName, Volumes: len(pod.Spec.Volumes), Pull: pod.Spec.ImagePullSecrets}
			for _, m := range pod.Spec.Containers[0].VolumeMounts {
				got.Mounts = append(got.Mounts, m.MountPath)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nAdmit(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateInitialization(t *testing.T) {
	if err := New().ValidateInitialization(); err == nil {
		t.Error("want an error without a client")
	}
}
