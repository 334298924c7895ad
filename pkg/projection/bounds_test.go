// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/kubernetes/pkg/apis/core"
)

func TestCapped(t *testing.T) {
	const most = "9223372036854775807"
	cases := map[string]struct {
		reason string
		text   string
		want   string
	}{
		"Usual":    {reason: "What is in use stays, as it is written.", text: "1500m", want: "1500m"},
		"Large":    {reason: "So does the largest that upstream has.", text: "7Ei", want: "7Ei"},
		"Most":     {reason: "And the cap.", text: most, want: most},
		"Exponent": {reason: "It would be added up with a billion zeroes.", text: "1e1000000000", want: most},
		"Less":     {reason: "So would what is taken away.", text: "-1e1000000000", want: "-" + most[:18] + "8"},
		"Digits":   {reason: "A number may be as long.", text: strings.Repeat("9", 100000), want: most},
		"Nothing":  {reason: "Nothing is nothing.", text: "0e1000000000", want: "0"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"cpu": resource.MustParse(tc.text), "memory": resource.MustParse("1Gi")},
			}}}}}
			pod.ObjectMeta = metav1.ObjectMeta{Namespace: "shop", Name: "web"}
			kind := Pods(testTemplates{})
			seen, shown, err := kind.observe("a", pod)
			if err != nil || !shown {
				t.Fatalf("%s\nshown: %t, %v", tc.reason, shown, err)
			}
			requests := seen.object.(*core.Pod).Spec.Containers[0].Resources.Requests
			sum := resource.MustParse("1")
			started := time.Now()
			sum.Add(requests["cpu"])
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("%s\nto add it took %s", tc.reason, took)
			}
			cpu, memory := requests["cpu"], requests["memory"]
			if diff := cmp.Diff([]string{tc.want, "1Gi"}, []string{cpu.String(), memory.String()}); diff != "" {
				t.Errorf("%s\nrequests (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestQuantitiesAreCapped has a Pod show no large quantity anywhere.
func TestQuantitiesAreCapped(t *testing.T) {
	large := func() resource.Quantity { return resource.MustParse("1e999") }
	list := func() corev1.ResourceList { return corev1.ResourceList{"cpu": large()} }
	needs := func() corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: list(), Limits: list()}
	}
	divisor := &corev1.ResourceFieldSelector{Resource: "limits.cpu", Divisor: large()}
	limit := large()
	claim := &corev1.PersistentVolumeClaimTemplate{Spec: corev1.PersistentVolumeClaimSpec{Resources: corev1.VolumeResourceRequirements{Requests: list()}}}
	inPod := needs()
	containerNeeds := needs()
	for name, object := range map[string]runtime.Object{
		"Pod": &corev1.Pod{
			Spec: corev1.PodSpec{
				InitContainers:      []corev1.Container{{Resources: needs(), Env: []corev1.EnvVar{{ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: divisor}}}}},
				Containers:          []corev1.Container{{Resources: needs()}},
				EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Resources: needs()}}},
				Overhead:            list(), Resources: &inPod,
				Volumes: []corev1.Volume{
					{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &limit}}},
					{VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: claim}}},
				},
			},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{AllocatedResources: list(), Resources: &containerNeeds}}},
		},
		"Node":   &corev1.Node{Status: corev1.NodeStatus{Capacity: list(), Allocatable: list()}},
		"Claim":  &corev1.PersistentVolumeClaim{Spec: claim.Spec, Status: corev1.PersistentVolumeClaimStatus{Capacity: list(), AllocatedResources: list()}},
		"Volume": &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{Capacity: list()}},
	} {
		t.Run(name, func(t *testing.T) {
			encode := func() string {
				text, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			before := strings.Count(encode(), "e999")
			capQuantities(reflect.ValueOf(object))
			if after := strings.Count(encode(), "e999"); before == 0 || after > 0 {
				t.Errorf("%d of %d large quantities are left:\n%s", after, before, encode())
			}
		})
	}
}

func TestRefused(t *testing.T) {
	pod := func(namespace, name string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	large := pod("shop", "web")
	large.Annotations = map[string]string{"large": strings.Repeat("x", maxSize)}
	cases := map[string]struct {
		reason string
		kind   Kind
		object runtime.Object
		want   string // of the metric, empty when it is shown
	}{
		"Usual":       {reason: "A Pod is shown.", kind: Pods(testTemplates{}), object: pod("shop", "web-0.example")},
		"Large":       {reason: "No API server has one as large.", kind: Pods(testTemplates{}), object: large, want: "TooLarge"},
		"Slash":       {reason: "It would be in another namespace.", kind: Pods(testTemplates{}), object: pod("shop", "web/../../x"), want: "Name"},
		"NoName":      {reason: "It would be a namespace's.", kind: Pods(testTemplates{}), object: pod("shop", ""), want: "Name"},
		"Control":     {reason: "It would be printed.", kind: Pods(testTemplates{}), object: pod("shop", "web\x1b[2J"), want: "Name"},
		"Long":        {reason: "No name is as long.", kind: Pods(testTemplates{}), object: pod("shop", strings.Repeat("x", 254)), want: "Name"},
		"NoNamespace": {reason: "Every Pod has one.", kind: Pods(testTemplates{}), object: pod("", "web"), want: "Namespace"},
		"Elsewhere":   {reason: "It would be in another place.", kind: Pods(testTemplates{}), object: pod("shop/x", "web"), want: "Namespace"},
		"Node":        {reason: "No Node has one.", kind: Nodes(), object: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "n1"}}, want: "Namespace"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, shown, err := tc.kind.observe("a", tc.object)
			refused := &refusal{}
			if !errors.As(err, &refused) && err != nil || refused.reason != tc.want || shown != (tc.want == "") {
				t.Errorf("%s\nshown: %t, %v, want %q", tc.reason, shown, err, tc.want)
			}
		})
	}
}

// TestSizesAreKnown has the objects of all kinds say how large they are.
func TestSizesAreKnown(t *testing.T) {
	for _, kind := range []Kind{
		Pods(testTemplates{}), Nodes(), Events(testTemplates{}), Jobs(testTemplates{}), EndpointSlices(testTemplates{}), Endpoints(testTemplates{}),
		Claims(testTemplates{}), Volumes(testTemplates{}),
	} {
		if _, ok := kind.New().(interface{ Size() int }); !ok {
			t.Errorf("a %s does not say how large it is", kind.Kind)
		}
	}
}

// TestRefusedHidesNoOther has a member have a Pod that is refused, and becomes one.
func TestRefusedHidesNoOther(t *testing.T) {
	members := newMembers(t, "a")
	a := members.members["a"]
	a.Put(t, memberPod(t, "default", "web-1", "n1"))
	a.Put(t, memberPod(t, "default", "Bad_Name", "n1"))
	refusedObjects.Reset()
	s := newServer(t, startEtcd(t), members)
	got, said := s.list(all())
	if diff := cmp.Diff([]string{"default/web-1=n1.a"}, got); diff != "" || len(said) > 0 {
		t.Errorf("warned %q, listed (-want +got):\n%s", said, diff)
	}
	a.Edit(t, "Pod", "default", "web-1", func(pod *unstructured.Unstructured) {
		pod.SetAnnotations(map[string]string{"large": strings.Repeat("x", maxSize)})
	})
	eventually(t, "a Pod that has become too large is not shown any more", func() bool {
		got, _ := s.list(all())
		return len(got) == 0
	})
	for reason, want := range map[string]float64{"Name": 1, "TooLarge": 1} {
		counted, err := testutil.GetCounterMetricValue(refusedObjects.WithLabelValues("pods", reason))
		if err != nil || counted < want {
			t.Errorf("counted %v refused for %s, %v, want at least %v", counted, reason, err, want)
		}
	}
}
