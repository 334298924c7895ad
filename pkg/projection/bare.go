// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"
)

// placeLabels are those a cluster gives to a Pod when it gets a node, see upstream's
// admission plugin PodTopologyLabels.
var placeLabels = []string{corev1.LabelTopologyRegion, corev1.LabelTopologyZone}

// completePod has a stored Pod show what its copy has beyond it: where it runs, and what
// was added to it there. What is stored is shown as it was written. The status is
// rolled up.
func completePod(stored, copied runtime.Object) {
	pod, ok := stored.(*core.Pod)
	from, isPod := copied.(*core.Pod)
	if !ok || !isPod {
		return
	}
	for _, key := range placeLabels {
		if value, ok := from.Labels[key]; ok && pod.Labels[key] == "" {
			pod.Labels = with(pod.Labels, key, value)
		}
	}
	pod.Spec = completeSpec(&pod.Spec, &from.Spec)
}

func with(labels map[string]string, key, value string) map[string]string {
	if labels = maps.Clone(labels); labels == nil {
		labels = map[string]string{}
	}
	labels[key] = value
	return labels
}

func completeSpec(stored, copied *core.PodSpec) core.PodSpec {
	spec := fill(stored, copied)
	spec.NodeName = cmp.Or(copied.NodeName, stored.NodeName)
	spec.EphemeralContainers = copied.EphemeralContainers
	// Gates may go one by one, and are gone in the fleet first.
	spec.SchedulingGates = stored.SchedulingGates
	spec.Containers = completeContainers(stored.Containers, copied.Containers)
	spec.InitContainers = completeContainers(stored.InitContainers, copied.InitContainers)
	// The token is mounted under a name that each cluster makes up.
	volumes := without(stored.Volumes, func(v *core.Volume) bool { return isTokenVolume(v.Name) })
	spec.Volumes = add(volumes, copied.Volumes, func(a, b *core.Volume) bool { return a.Name == b.Name })
	spec.Tolerations = add(stored.Tolerations, copied.Tolerations, sameToleration)
	return spec
}

func completeContainers(stored, copied []core.Container) []core.Container {
	containers := slices.Clone(stored)
	for i := range containers {
		own := &stored[i]
		from := containerOf(copied, own.Name)
		if from == nil {
			continue
		}
		containers[i] = fill(own, from)
		mounts := without(own.VolumeMounts, func(m *core.VolumeMount) bool { return isTokenVolume(m.Name) })
		containers[i].VolumeMounts = add(mounts, from.VolumeMounts, func(a, b *core.VolumeMount) bool { return a.MountPath == b.MountPath })
		containers[i].Env = add(own.Env, from.Env, func(a, b *core.EnvVar) bool { return a.Name == b.Name })
	}
	return add(containers, copied, func(a, b *core.Container) bool { return a.Name == b.Name })
}

// barePod leaves in an updated Pod what is to be stored of it: what was changed of what
// was shown, and else what is stored. Where it runs is the member's decision, and
// containers that were added to it there stay there.
func barePod(updated, shown, stored runtime.Object) {
	pod, ok := updated.(*core.Pod)
	was, isPod := shown.(*core.Pod)
	is, isPodToo := stored.(*core.Pod)
	if !ok || !isPod || !isPodToo {
		return
	}
	for _, key := range placeLabels {
		if _, own := is.Labels[key]; !own && pod.Labels[key] == was.Labels[key] && pod.Labels[key] != "" {
			pod.Labels = maps.Clone(pod.Labels)
			delete(pod.Labels, key)
		}
	}
	pod.Spec = bareSpec(&pod.Spec, &was.Spec, &is.Spec)
}

func bareSpec(updated, shown, stored *core.PodSpec) core.PodSpec {
	spec := keep(updated, shown, stored)
	spec.NodeName, spec.EphemeralContainers = stored.NodeName, stored.EphemeralContainers
	spec.Containers = bareContainers(updated.Containers, shown.Containers, stored.Containers)
	spec.InitContainers = bareContainers(updated.InitContainers, shown.InitContainers, stored.InitContainers)
	spec.Tolerations = without(updated.Tolerations, func(t *core.Toleration) bool {
		same := func(other core.Toleration) bool { return sameToleration(&other, t) }
		return slices.ContainsFunc(shown.Tolerations, same) && !slices.ContainsFunc(stored.Tolerations, same)
	})
	return spec
}

func bareContainers(updated, shown, stored []core.Container) []core.Container {
	var containers []core.Container
	for i := range updated {
		container := &updated[i]
		was, is := containerOf(shown, container.Name), containerOf(stored, container.Name)
		switch {
		case was == nil:
			containers = append(containers, *container)
		case is != nil:
			containers = append(containers, keep(container, was, is))
		}
	}
	return containers
}

func containerOf(containers []core.Container, name string) *core.Container {
	if i := slices.IndexFunc(containers, func(c core.Container) bool { return c.Name == name }); i >= 0 {
		return &containers[i]
	}
	return nil
}

func isTokenVolume(name string) bool {
	return strings.HasPrefix(name, serviceaccount.ServiceAccountVolumeName+"-")
}

func sameToleration(a, b *core.Toleration) bool { return equality.Semantic.DeepEqual(a, b) }

// fill returns a struct with the fields of another one where its own have nothing.
func fill[T any](own, from *T) T {
	filled := *own
	to, other := reflect.ValueOf(&filled).Elem(), reflect.ValueOf(from).Elem()
	for i := range to.NumField() {
		if to.Field(i).IsZero() {
			to.Field(i).Set(other.Field(i))
		}
	}
	return filled
}

// keep returns a struct with the fields that are stored where what was shown of them was
// not changed.
func keep[T any](updated, shown, stored *T) T {
	kept := *updated
	to, was, is := reflect.ValueOf(&kept).Elem(), reflect.ValueOf(shown).Elem(), reflect.ValueOf(stored).Elem()
	for i := range to.NumField() {
		if equality.Semantic.DeepEqual(to.Field(i).Interface(), was.Field(i).Interface()) {
			to.Field(i).Set(is.Field(i))
		}
	}
	return kept
}

// add returns a list with those of another one that it does not have. It shares memory
// with the list if there are none.
func add[T any](own, from []T, same func(a, b *T) bool) []T {
	all := slices.Clip(own)
	for i := range from {
		if !slices.ContainsFunc(own, func(item T) bool { return same(&item, &from[i]) }) {
			all = append(all, from[i])
		}
	}
	return all
}

// without returns a list without some. It is nil if nothing is left.
func without[T any](all []T, drop func(*T) bool) []T {
	var kept []T
	for i := range all {
		if !drop(&all[i]) {
			kept = append(kept, all[i])
		}
	}
	return kept
}
