// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kubernetes/pkg/apis/core"
)

const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"

func token(name string) core.Volume {
	return core.Volume{Name: name, VolumeSource: core.VolumeSource{Projected: &core.ProjectedVolumeSource{}}}
}

// writtenPod is a Pod as the fleet's admission completes what a user wrote.
func writtenPod() *core.Pod {
	pod := storedPod("default", "bare")
	pod.Spec.ServiceAccountName = "robot"
	pod.Spec.Volumes = []core.Volume{{Name: "data"}, token("kube-api-access-fleet")}
	pod.Spec.Tolerations = []core.Toleration{{Key: "mine"}}
	pod.Spec.Containers = []core.Container{{
		Name: "web", Image: "web:1", Env: []core.EnvVar{{Name: "A", Value: "mine"}},
		VolumeMounts: []core.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "kube-api-access-fleet", MountPath: tokenPath}},
	}}
	return pod
}

// madePod is what a member made of it: its scheduler, its admission and a webhook there.
func madePod() *core.Pod {
	pod := writtenPod()
	pod.Labels = map[string]string{corev1.LabelTopologyZone: "z1", "app": "other", "injected": "yes"}
	pod.Spec.NodeName = "n1.a"
	pod.Spec.ImagePullSecrets = []core.LocalObjectReference{{Name: "pull"}}
	pod.Spec.NodeSelector = map[string]string{"pool": "a"}
	pod.Spec.Volumes = []core.Volume{{Name: "data"}, {Name: "proxy"}, token("kube-api-access-member")}
	pod.Spec.Tolerations = []core.Toleration{{Key: "mine"}, {Key: "member", TolerationSeconds: new(int64(3))}}
	pod.Spec.SchedulingGates = []core.PodSchedulingGate{{Name: "member"}}
	pod.Spec.EphemeralContainers = []core.EphemeralContainer{{EphemeralContainerCommon: core.EphemeralContainerCommon{Name: "debugger"}}}
	web := &pod.Spec.Containers[0]
	web.Image = "mirror/web:0"
	web.Env = []core.EnvVar{{Name: "A", Value: "other"}, {Name: "B", Value: "member"}}
	web.Resources.Limits = core.ResourceList{core.ResourceCPU: resource.MustParse("1")}
	web.VolumeMounts = []core.VolumeMount{{Name: "data", MountPath: "/data"}, {Name: "kube-api-access-member", MountPath: tokenPath}}
	pod.Spec.Containers = append(pod.Spec.Containers, core.Container{Name: "proxy", Image: "proxy:1"})
	return pod
}

// shownPod is what the fleet shows of the two.
func shownPod() *core.Pod {
	pod := writtenPod()
	pod.Labels[corev1.LabelTopologyZone] = "z1"
	made := madePod()
	pod.Spec.NodeName, pod.Spec.EphemeralContainers = made.Spec.NodeName, made.Spec.EphemeralContainers
	pod.Spec.ImagePullSecrets, pod.Spec.NodeSelector, pod.Spec.Tolerations = made.Spec.ImagePullSecrets, made.Spec.NodeSelector, made.Spec.Tolerations
	pod.Spec.Volumes = made.Spec.Volumes
	web := &pod.Spec.Containers[0]
	web.Resources, web.VolumeMounts = made.Spec.Containers[0].Resources, made.Spec.Containers[0].VolumeMounts
	web.Env = []core.EnvVar{{Name: "A", Value: "mine"}, {Name: "B", Value: "member"}}
	pod.Spec.Containers = append(pod.Spec.Containers, made.Spec.Containers[1])
	return pod
}

func TestCompletePod(t *testing.T) {
	cases := map[string]struct {
		reason       string
		stored, copy func(*core.Pod)
		want         func(*core.Pod)
	}{
		"Added": {reason: "What was written is shown as it was written, and what the member added beside it."},
		"NoNodeYet": {
			reason: "Until it has a node, the node is the one the user wants, if any.",
			stored: func(pod *core.Pod) { pod.Spec.NodeName = "n2.a" },
			copy:   func(pod *core.Pod) { pod.Spec.NodeName = "" },
			want:   func(pod *core.Pod) { pod.Spec.NodeName = "n2.a" },
		},
		"NoToken": {
			reason: "The ServiceAccount of the member says that no token is mounted.",
			copy: func(pod *core.Pod) {
				pod.Spec.Volumes = pod.Spec.Volumes[:2]
				pod.Spec.Containers[0].VolumeMounts = pod.Spec.Containers[0].VolumeMounts[:1]
			},
			want: func(pod *core.Pod) {
				pod.Spec.Volumes = pod.Spec.Volumes[:2]
				pod.Spec.Containers[0].VolumeMounts = pod.Spec.Containers[0].VolumeMounts[:1]
			},
		},
		"OwnPlace": {
			reason: "Labels are the user's first.",
			stored: func(pod *core.Pod) { pod.Labels[corev1.LabelTopologyZone] = "mine" },
			want:   func(pod *core.Pod) { pod.Labels[corev1.LabelTopologyZone] = "mine" },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stored, made, want := writtenPod(), madePod(), shownPod()
			for pod, change := range map[*core.Pod]func(*core.Pod){stored: tc.stored, made: tc.copy, want: tc.want} {
				if change != nil {
					change(pod)
				}
			}
			storedBefore, madeBefore := stored.DeepCopy(), made.DeepCopy()
			got := shallowCopy(stored).(*core.Pod)
			completePod(got, made)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("\n%s\ncompletePod(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff([]*core.Pod{storedBefore, madeBefore}, []*core.Pod{stored, made}); diff != "" {
				t.Errorf("\nwhat is shared was changed: -before, +after:\n%s", diff)
			}
		})
	}
}

func TestBarePod(t *testing.T) {
	cases := map[string]struct {
		reason string
		update func(*core.Pod)
		want   func(*core.Pod)
	}{
		"Nothing": {reason: "Who sends back what was read changes nothing."},
		"Image": {
			reason: "What is changed is stored, and nothing else of the container.",
			update: func(pod *core.Pod) { pod.Spec.Containers[0].Image = "web:2" },
			want:   func(pod *core.Pod) { pod.Spec.Containers[0].Image = "web:2" },
		},
		"Resources": {
			reason: "A resize is stored as it was asked for.",
			update: func(pod *core.Pod) {
				pod.Spec.Containers[0].Resources.Limits = core.ResourceList{core.ResourceCPU: resource.MustParse("2")}
			},
			want: func(pod *core.Pod) {
				pod.Spec.Containers[0].Resources.Limits = core.ResourceList{core.ResourceCPU: resource.MustParse("2")}
			},
		},
		"Tolerations": {
			reason: "Those of the member are its own.",
			update: func(pod *core.Pod) {
				pod.Spec.Tolerations = append(pod.Spec.Tolerations, core.Toleration{Key: "more"})
			},
			want: func(pod *core.Pod) {
				pod.Spec.Tolerations = append(pod.Spec.Tolerations, core.Toleration{Key: "more"})
			},
		},
		"Deadline": {
			reason: "A field that had nothing gets something.",
			update: func(pod *core.Pod) { pod.Spec.ActiveDeadlineSeconds = new(int64(9)) },
			want:   func(pod *core.Pod) { pod.Spec.ActiveDeadlineSeconds = new(int64(9)) },
		},
		"Labels": {
			reason: "Labels of users are stored, those of the place are not.",
			update: func(pod *core.Pod) { pod.Labels["tier"] = "front" },
			want:   func(pod *core.Pod) { pod.Labels["tier"] = "front" },
		},
		"OwnPlace": {
			reason: "A user may say what place a Pod is to be taken for.",
			update: func(pod *core.Pod) { pod.Labels[corev1.LabelTopologyZone] = "mine" },
			want:   func(pod *core.Pod) { pod.Labels[corev1.LabelTopologyZone] = "mine" },
		},
		"Member": {
			reason: "Node and ephemeral containers are the member's.",
			update: func(pod *core.Pod) { pod.Spec.NodeName, pod.Spec.EphemeralContainers = "n2.a", nil },
		},
		"Proxy": {
			reason: "A container that only the member has stays there.",
			update: func(pod *core.Pod) { pod.Spec.Containers[1].Image = "proxy:2" },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stored, shown, want := writtenPod(), shownPod(), writtenPod()
			updated := shown.DeepCopy()
			if tc.update != nil {
				tc.update(updated)
			}
			if tc.want != nil {
				tc.want(want)
			}
			barePod(updated, shown, stored)
			if diff := cmp.Diff(want, updated, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("\n%s\nbarePod(...): -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff([]*core.Pod{shownPod(), writtenPod()}, []*core.Pod{shown, stored}); diff != "" {
				t.Errorf("\nwhat is shared was changed: -before, +after:\n%s", diff)
			}
		})
	}
}
