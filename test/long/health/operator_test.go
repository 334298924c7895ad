// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"fmt"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"
)

var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	widgets     = schema.GroupVersionResource{Group: "health.example.com", Version: "v1", Resource: "widgets"}
)

// widgetDefinition is the kind of the custom resources. Its operator does what spec.outcome
// says.
const widgetDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.health.example.com}
spec:
  group: health.example.com
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        x-kubernetes-preserve-unknown-fields: true
`

// define makes the kind of the custom resources in the fleet, which brings it to the
// members, and in the plain cluster.
func (s *stage) define(t *testing.T) {
	t.Helper()
	definition := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(widgetDefinition), &definition.Object); err != nil {
		t.Fatal(err)
	}
	for _, at := range []*place{s.fleet, s.plain} {
		if _, err := at.objects.Resource(definitions).Create(t.Context(), definition, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range append(s.operated, s.fleet) {
		eventually(t, "the definition to reach "+at.name, func(ctx context.Context) error {
			_, err := at.objects.Resource(widgets).List(ctx, metav1.ListOptions{})
			return err
		})
	}
}

// operate runs the operator of the custom resources in each of the places until the
// test ends.
func operate(t *testing.T, places []*place) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for _, at := range places {
		running.Go(func() {
			_ = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
				at.reconcile(ctx)
				return false, nil
			})
		})
	}
}

// reconcile gives each custom resource the status it asks for. What fails is tried
// again soon.
func (p *place) reconcile(ctx context.Context) {
	list, err := p.objects.Resource(widgets).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for n := range list.Items {
		widget := &list.Items[n]
		outcome, _, _ := unstructured.NestedString(widget.Object, "spec", "outcome")
		observed, _, _ := unstructured.NestedInt64(widget.Object, "status", "observedGeneration")
		if observed == widget.GetGeneration() {
			continue
		}
		widget.Object["status"] = widgetStatus(outcome, widget.GetGeneration())
		_, err := p.objects.Resource(widgets).Namespace(widget.GetNamespace()).UpdateStatus(ctx, widget, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsConflict(err) && ctx.Err() == nil {
			continue
		}
	}
}

// widgetStatus is what an operator that follows the conventions writes: a Widget is
// Ready, Reconciling or Stalled.
func widgetStatus(outcome string, generation int64) map[string]any {
	condition := func(kind string) any {
		status := metav1.ConditionFalse
		if kind == outcome {
			status = metav1.ConditionTrue
		}
		return map[string]any{
			"type": kind, "status": string(status), "reason": "Operated", "message": fmt.Sprintf("The widget is to be %s.", outcome),
			"lastTransitionTime": metav1.Now().UTC().Format("2006-01-02T15:04:05Z"),
		}
	}
	return map[string]any{
		"observedGeneration": generation,
		"conditions":         []any{condition("Ready"), condition("Reconciling"), condition("Stalled")},
	}
}
