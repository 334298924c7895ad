// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package foreground

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/kubernetes/pkg/apis/batch"
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const finalizer = metav1.FinalizerDeleteDependents

// config is a template; one with finalizers that is terminating is being deleted.
func config(terminating bool, finalizers ...string) *corev1.ConfigMap {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "a", Finalizers: finalizers}}
	if terminating {
		now := metav1.Now()
		object.DeletionTimestamp = &now
	}
	return object
}

func attributes(before, after runtime.Object, by, subresource string, dryRun bool) admission.Attributes {
	return admission.NewAttributesRecord(after, before, corev1.SchemeGroupVersion.WithKind("ConfigMap"), "shop", "web",
		corev1.SchemeGroupVersion.WithResource("configmaps"), subresource, admission.Update, nil, dryRun, &user.DefaultInfo{Name: by})
}

func TestValidate(t *testing.T) {
	onMember := map[string]any{"resource": map[string]any{"uid": "a"}, "clusters": []any{map[string]any{"name": "m1"}}}
	leaving := map[string]any{"resource": map[string]any{"uid": "a"}, "tombstones": []any{map[string]any{"clusterName": "m2", "uid": "a"}}}
	tests := map[string]struct {
		reason        string
		before, after *corev1.ConfigMap
		by            string
		subresource   string
		binding       map[string]any // spec
		dryRun        bool
		refused       string // words of the refusal
	}{
		"OnMember":   {reason: "a member has it", before: config(true, finalizer), after: config(true), binding: onMember, refused: "m1"},
		"Leaving":    {reason: "a member has not confirmed", before: config(true, finalizer, "x"), after: config(true, "x"), binding: leaving, refused: "m2"},
		"Empty":      {reason: "no member has it any more", before: config(true, finalizer), after: config(true), binding: map[string]any{"resource": map[string]any{"uid": "a"}}},
		"NoBinding":  {reason: "no member ever had it", before: config(true, finalizer), after: config(true)},
		"OtherUID":   {reason: "the members have another template of the name", before: config(true, finalizer), after: config(true), binding: map[string]any{"resource": map[string]any{"uid": "b"}, "clusters": onMember["clusters"]}},
		"StillThere": {reason: "something else changes", before: config(true, finalizer, "x"), after: config(true, finalizer), binding: onMember},
		"Alive":      {reason: "nothing is deleted", before: config(false, finalizer), after: config(false), binding: onMember},
		"Background": {reason: "nobody asked to wait", before: config(true, "x"), after: config(true), binding: onMember},
		"ByUser":     {reason: "a user who does that does not want to wait", before: config(true, finalizer), after: config(true), by: "jane", binding: onMember},
		"OfStatus":   {reason: "finalizers do not change by the status", before: config(true, finalizer), after: config(true), subresource: "status", binding: onMember},
		"DryRun":     {reason: "nothing happens", before: config(true, finalizer), after: config(true), binding: onMember, dryRun: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			by := tc.by
			if by == "" {
				by = wellknown.UserControllerManager
			}
			client, annotation := newClient(t, tc.binding)
			plugin := New()
			plugin.SetDynamicClient(client)
			err := plugin.Validate(t.Context(), attributes(tc.before, tc.after, by, tc.subresource, tc.dryRun), nil)
			if tc.refused == "" {
				if err != nil || annotation() != "" {
					t.Fatalf("%s: error %v, annotation %q, want neither", tc.reason, err, annotation())
				}
				return
			}
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), tc.refused) {
				t.Errorf("%s: want a refusal that names %s, got %v", tc.reason, tc.refused, err)
			}
			if got := annotation(); got != "a" {
				t.Errorf("%s: the binding says what is waited for: want %q, got %q", tc.reason, "a", got)
			}
		})
	}
}

func TestExpires(t *testing.T) {
	finished := []batch.JobCondition{{Type: batch.JobFailed, Status: core.ConditionTrue}}
	ttl := new(int32(60))
	tests := map[string]struct {
		reason string
		object runtime.Object
		want   bool
	}{
		"Expires":   {reason: "nobody waits for the end of a Job whose time is over", object: &batch.Job{Spec: batch.JobSpec{TTLSecondsAfterFinished: ttl}, Status: batch.JobStatus{Conditions: finished}}, want: true},
		"Running":   {reason: "who deletes one that runs may wait", object: &batch.Job{Spec: batch.JobSpec{TTLSecondsAfterFinished: ttl}}},
		"NoTTL":     {reason: "who deletes one that stays may wait", object: &batch.Job{Status: batch.JobStatus{Conditions: finished}}},
		"OtherKind": {reason: "other kinds do not expire", object: config(true)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := expires(tc.object); got != tc.want {
				t.Errorf("%s: want %t, got %t", tc.reason, tc.want, got)
			}
		})
	}
}

// newClient returns a fleet with a binding, if there is a spec for one, and what reads
// its annotation.
func newClient(t *testing.T, spec map[string]any) (client *fake.FakeDynamicClient, annotation func() string) {
	t.Helper()
	client = fake.NewSimpleDynamicClient(runtime.NewScheme())
	bindings := client.Resource(workv1alpha1.SchemeGroupVersion.WithResource("resourcebindings")).Namespace("shop")
	if spec != nil {
		binding := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "work.fleet.dev/v1alpha1", "kind": "ResourceBinding",
			"metadata": map[string]any{"namespace": "shop", "name": "web-configmap", "resourceVersion": "1"},
			"spec":     spec,
		}}
		if _, err := bindings.Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return client, func() string {
		found, err := bindings.Get(t.Context(), "web-configmap", metav1.GetOptions{})
		if err != nil {
			return ""
		}
		return found.GetAnnotations()[wellknown.AnnotationForegroundTemplate]
	}
}

func TestValidateWithoutAnswer(t *testing.T) {
	client, _ := newClient(t, nil)
	client.PrependReactor("get", "resourcebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("etcd is away")
	})
	plugin := New()
	plugin.SetDynamicClient(client)
	if err := plugin.Validate(t.Context(), attributes(config(true, finalizer), config(true), wellknown.UserControllerManager, "", false), nil); err == nil {
		t.Error("nobody knows whether members have it: want an error")
	}
}
