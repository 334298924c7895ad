// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"fleet.dev/fleet/pkg/apis/policy"
)

func TestAttributes(t *testing.T) {
	object := &policy.PropagationPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: map[string]string{"app": "web"}},
		Spec:       policy.PropagationSpec{SchedulerName: "mine"},
	}
	scheduler := func(obj runtime.Object, set fields.Set) {
		set["spec.schedulerName"] = obj.(*policy.PropagationPolicy).Spec.SchedulerName
	}
	tests := map[string]struct {
		reason     string
		namespaced bool
		extra      func(runtime.Object, fields.Set)
		want       fields.Set
	}{
		"Namespaced": {
			reason:     "name and namespace can always be selected",
			namespaced: true,
			want:       fields.Set{"metadata.name": "web", "metadata.namespace": "shop"},
		},
		"ClusterScoped": {
			reason: "there is no namespace to select",
			want:   fields.Set{"metadata.name": "web"},
		},
		"Extra": {
			reason:     "the resource's own come beside them",
			namespaced: true,
			extra:      scheduler,
			want:       fields.Set{"metadata.name": "web", "metadata.namespace": "shop", "spec.schedulerName": "mine"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			labelSet, fieldSet, err := Attributes(tc.namespaced, tc.extra)(object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, fieldSet); diff != "" {
				t.Errorf("%s: fields, -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(labels.Set(object.Labels), labelSet); diff != "" {
				t.Errorf("%s: labels, -want +got:\n%s", tc.reason, diff)
			}
		})
	}
	if _, _, err := Attributes(true, scheduler)(&metav1.Status{}); err == nil {
		t.Error("something without metadata has no attributes: want an error, got none")
	}
}
