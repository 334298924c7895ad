// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package orphanintent

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const orphan = metav1.FinalizerOrphanDependents

// config is a template; one with finalizers that is terminating is being deleted.
func config(terminating bool, finalizers ...string) *corev1.ConfigMap {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "a", Finalizers: finalizers}}
	if terminating {
		now := metav1.Now()
		object.DeletionTimestamp = &now
	}
	return object
}

func binding(uid string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "work.fleet.dev/v1alpha1", "kind": "ResourceBinding",
		"metadata": map[string]any{"namespace": "shop", "name": "web-configmap", "resourceVersion": "1"},
		"spec":     map[string]any{"resource": map[string]any{"uid": uid}},
	}}
}

func attributes(before, after runtime.Object, dryRun bool) admission.Attributes {
	return admission.NewAttributesRecord(after, before, corev1.SchemeGroupVersion.WithKind("ConfigMap"), "shop", "web",
		corev1.SchemeGroupVersion.WithResource("configmaps"), "", admission.Update, nil, dryRun, nil)
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		reason        string
		before, after *corev1.ConfigMap
		binding       string // uid of the template it is about
		dryRun        bool
		want          string // annotation of the binding
	}{
		"LetGo":        {reason: "the garbage collector takes the finalizer off", before: config(true, orphan), after: config(true), binding: "a", want: "a"},
		"AnotherHolds": {reason: "the wish goes with the finalizer, not with the object", before: config(true, orphan, "x"), after: config(true, "x"), binding: "a", want: "a"},
		"StillThere":   {reason: "the template says it itself", before: config(true, orphan, "x"), after: config(true, orphan), binding: "a"},
		"Alive":        {reason: "a finalizer alone deletes nothing", before: config(false, orphan), after: config(false), binding: "a"},
		"Foreground":   {reason: "everything goes", before: config(true, metav1.FinalizerDeleteDependents), after: config(true), binding: "a"},
		"DryRun":       {reason: "nothing happens", before: config(true, orphan), after: config(true), binding: "a", dryRun: true},
		"OtherUID":     {reason: "the binding still is about an earlier template of the name", before: config(true, orphan), after: config(true), binding: "b"},
		"NoBinding":    {reason: "it is in no member", before: config(true, orphan), after: config(true)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			client, bindings := newClient(t, tc.binding)
			plugin := New()
			plugin.SetDynamicClient(client)
			if err := plugin.Validate(t.Context(), attributes(tc.before, tc.after, tc.dryRun), nil); err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if got := bindings(); got != tc.want {
				t.Errorf("%s: orphaned template: want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}

// newClient returns a fleet with a binding about the template, if any, and what
// reads its annotation.
func newClient(t *testing.T, template string) (client *fake.FakeDynamicClient, annotation func() string) {
	t.Helper()
	client = fake.NewSimpleDynamicClient(runtime.NewScheme())
	resource := client.Resource(workv1alpha1.SchemeGroupVersion.WithResource("resourcebindings")).Namespace("shop")
	if template != "" {
		if _, err := resource.Create(t.Context(), binding(template), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return client, func() string {
		found, err := resource.Get(t.Context(), "web-configmap", metav1.GetOptions{})
		if err != nil {
			return ""
		}
		return found.GetAnnotations()[wellknown.AnnotationOrphanedTemplate]
	}
}

func TestValidateWithoutRecord(t *testing.T) {
	client, _ := newClient(t, "a")
	client.PrependReactor("patch", "resourcebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("etcd is away")
	})
	plugin := New()
	plugin.SetDynamicClient(client)
	if err := plugin.Validate(t.Context(), attributes(config(true, orphan), config(true), false), nil); err == nil {
		t.Error("the finalizer must not go before the wish is recorded: want an error")
	}
}

func TestValidateAfterConflict(t *testing.T) {
	client, annotation := newClient(t, "a")
	conflicts := 2
	client.PrependReactor("patch", "resourcebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
		if conflicts--; conflicts >= 0 {
			return true, nil, apierrors.NewConflict(workv1alpha1.Resource("resourcebindings"), "web-configmap", nil)
		}
		return false, nil, nil
	})
	plugin := New()
	plugin.SetDynamicClient(client)
	if err := plugin.Validate(t.Context(), attributes(config(true, orphan), config(true), false), nil); err != nil {
		t.Fatal(err)
	}
	if got := annotation(); got != "a" {
		t.Errorf("feedback writes bindings at any time: want the wish recorded all the same, got %q", got)
	}
}
