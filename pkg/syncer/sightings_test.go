// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// aWork is a work for an object of a kind called web.
func aWork(apiVersion, kind, manifest string) *workv1alpha1.Work {
	work := &workv1alpha1.Work{}
	work.Spec.Template = workv1alpha1.TemplateReference{APIVersion: apiVersion, Kind: kind, Namespace: "shop", Name: "web"}
	work.Spec.Workload.Manifests = []runtime.RawExtension{{Raw: []byte(manifest)}}
	return work
}

// webPod is a Pod of the Deployment web.
func webPod(t *testing.T, node string) *pod {
	t.Helper()
	cut, err := cutPod(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web-5d8f-x", Labels: map[string]string{"pod-template-hash": "5d8f"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d8f", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{NodeName: node},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cut
}

func TestSightings(t *testing.T) {
	s, start := newSightings(), time.Unix(1_000, 0)
	check := func(reason string, after time.Duration, want string) {
		t.Helper()
		if got := s.version(start.Add(after)); got != want {
			t.Errorf("%s: want %q, got %q", reason, want, got)
		}
	}
	config := aWork("v1", "ConfigMap", "{}")
	check("nothing was seen", 0, "")
	s.see(config, "3", start)
	s.see(config, "not a version", start)
	check("what makes no Pods is counted at once", 0, "3")

	s.see(aWork("apps/v1", "Deployment", `{"spec":{"replicas":2}}`), "5", start)
	s.see(config, "6", start)
	check("two Pods are missing, and what came later waits for them", time.Second, "3")
	one, waits := webPod(t, "n1"), webPod(t, "")
	s.follow(nil, one)
	s.follow(nil, waits)
	check("one has a node, the other waits", time.Second, "3")
	two := webPod(t, "n2")
	s.follow(waits, two)
	check("both have one", time.Second, "6")

	s.follow(one, nil)
	s.follow(two, nil)
	if len(s.nodes) != 0 {
		t.Errorf("Pods that are gone are kept: %v", s.nodes)
	}
	s.see(aWork("apps/v1", "Deployment", `{"spec":{"replicas":2}}`), "8", start.Add(time.Second))
	check("Pods that find no node are waited for", countedAfter, "6")
	check("but not for ever", countedAfter+time.Second, "8")
	s.see(config, "7", start.Add(time.Minute))
	check("versions do not go back", time.Minute, "8")
	if len(s.recent) != 0 {
		t.Errorf("what is counted is kept: %v", s.recent)
	}

	s.see(config, "20", start.Add(time.Hour))
	s.see(aWork("apps/v1", "Deployment", `{"spec":{"replicas":2}}`), "15", start.Add(time.Hour))
	check("a list is in no order: what waits holds back what is later", time.Hour, "14")
}

func TestPodsOf(t *testing.T) {
	gone := aWork("apps/v1", "Deployment", `{"spec":{"replicas":4}}`)
	gone.Spec.Deleted = true
	cases := map[string]struct {
		work *workv1alpha1.Work
		want int32
	}{
		"Deployment":  {aWork("apps/v1", "Deployment", `{"spec":{"replicas":4}}`), 4},
		"Defaulted":   {aWork("apps/v1", "StatefulSet", `{"spec":{}}`), 1},
		"Zero":        {aWork("apps/v1", "ReplicaSet", `{"spec":{"replicas":0}}`), 0},
		"Job":         {aWork("batch/v1", "Job", `{"spec":{"parallelism":3,"replicas":9}}`), 3},
		"Pod":         {aWork("v1", "Pod", `{}`), 1},
		"Secret":      {aWork("v1", "Secret", `{}`), 0},
		"Tombstone":   {gone, 0},
		"DaemonSet":   {aWork("apps/v1", "DaemonSet", `{}`), unknownPods},
		"Custom":      {aWork("example.com/v1", "Deployment", `{"spec":{"replicas":4}}`), unknownPods},
		"CustomKind":  {aWork("example.com/v1", "Widget", `{}`), unknownPods},
		"Unreadable":  {aWork("apps/v1", "Deployment", `{"spec":7}`), unknownPods},
		"WithoutText": {&workv1alpha1.Work{Spec: workv1alpha1.WorkSpec{Template: aWork("apps/v1", "Deployment", "").Spec.Template}}, unknownPods},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := podsOf(tc.work); got != tc.want {
				t.Errorf("podsOf(...): want %d, got %d", tc.want, got)
			}
		})
	}
}
