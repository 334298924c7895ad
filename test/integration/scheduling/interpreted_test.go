// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/test/integration/harness"
)

var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	databases   = schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "databases"}
)

const databaseDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: databases.example.com}
spec:
  group: example.com
  names: {kind: Database, plural: databases, singular: database, listKind: DatabaseList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

func decoded(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(raw); err != nil {
		t.Fatal(err)
	}
	return object
}

// interpreted is a fleet with a kind of custom resources, and the steps of its test.
type interpreted struct {
	*testing.T
	*harness.APIServer
}

// serveDatabases defines Databases, and has both members serve them.
func (i interpreted) serveDatabases() {
	i.Helper()
	if _, err := i.Dynamic.Resource(definitions).Create(i.Context(), decoded(i.T, databaseDefinition), metav1.CreateOptions{}); err != nil {
		i.Fatal(err)
	}
	for _, member := range []string{"berlin", "tokyo"} {
		clusters := i.Fleet.ClusterV1alpha1().Clusters()
		cluster, err := clusters.Get(i.Context(), member, metav1.GetOptions{})
		if err != nil {
			i.Fatal(err)
		}
		cluster.Status.APIEnablements = append(cluster.Status.APIEnablements, clusterv1alpha1.APIEnablement{
			GroupVersion: "example.com/v1", Resources: []clusterv1alpha1.APIResource{{Name: "databases", Kind: "Database"}},
		})
		if _, err := clusters.UpdateStatus(i.Context(), cluster, metav1.UpdateOptions{}); err != nil {
			i.Fatal(err)
		}
		// Feedback is created there.
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: clusterv1alpha1.MemberNamespace(member)}}
		if _, err := i.Kube.CoreV1().Namespaces().Create(i.Context(), namespace, metav1.CreateOptions{}); err != nil {
			i.Fatal(err)
		}
	}
}

// interpret writes the customization of Databases.
func (i interpreted) interpret(replicas, revision, aggregation string) {
	i.Helper()
	customizations := i.Fleet.ConfigV1alpha1().ResourceInterpreterCustomizations()
	wanted := &configv1alpha1.ResourceInterpreterCustomization{
		ObjectMeta: metav1.ObjectMeta{Name: "databases"},
		Spec: configv1alpha1.ResourceInterpreterCustomizationSpec{
			Target: configv1alpha1.CustomizationTarget{APIVersion: "example.com/v1", Kind: "Database"},
			Customizations: configv1alpha1.CustomizationRules{
				ReplicaResource:   &configv1alpha1.CustomizationRule{Expression: replicas},
				ReplicaRevision:   &configv1alpha1.CustomizationRule{Expression: revision},
				StatusAggregation: &configv1alpha1.CustomizationRule{Expression: aggregation},
			},
		},
	}
	known, err := customizations.Get(i.Context(), wanted.Name, metav1.GetOptions{})
	if err != nil {
		_, err = customizations.Create(i.Context(), wanted, metav1.CreateOptions{})
	} else {
		known.Spec = wanted.Spec
		_, err = customizations.Update(i.Context(), known, metav1.UpdateOptions{})
	}
	if err != nil {
		i.Fatal(err)
	}
}

func (i interpreted) binding(ctx context.Context) (*workv1alpha1.ResourceBinding, error) {
	name := workv1alpha1.BindingNameForGroupKind(schema.GroupKind{Group: "example.com", Kind: "Database"}, "db")
	return i.Fleet.WorkV1alpha1().ResourceBindings(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
}

// wantSizes waits until the works have the sizes, in any order of the members.
func (i interpreted) wantSizes(reason string, want ...int64) {
	i.Helper()
	eventually(i.T, reason, func(ctx context.Context) error {
		var sizes []int64
		for _, member := range []string{"berlin", "tokyo"} {
			works, err := i.Fleet.WorkV1alpha1().Works(clusterv1alpha1.MemberNamespace(member)).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for n := range works.Items {
				if works.Items[n].Spec.Template.Kind != "Database" {
					continue
				}
				object := &unstructured.Unstructured{}
				if err := object.UnmarshalJSON(works.Items[n].Spec.Workload.Manifests[0].Raw); err != nil {
					return err
				}
				size, _, _ := unstructured.NestedInt64(object.Object, "spec", "size")
				sizes = append(sizes, size)
			}
		}
		if slices.Sort(sizes); !slices.Equal(sizes, want) {
			return fmt.Errorf("want sizes %v, got %v", want, sizes)
		}
		return nil
	})
}

// report has a member say that so many are ready.
func (i interpreted) report(member string, ready int) {
	i.Helper()
	eventually(i.T, "report of "+member, func(ctx context.Context) error {
		binding, err := i.binding(ctx)
		if err != nil {
			return err
		}
		feedback := &workv1alpha1.WorkFeedback{ObjectMeta: metav1.ObjectMeta{Name: "feedback"}, Spec: workv1alpha1.WorkFeedbackSpec{Items: []workv1alpha1.FeedbackItem{{
			Name: workv1alpha1.WorkName(binding.Namespace, binding.Name), TemplateUID: binding.Spec.Resource.UID, BindingGeneration: binding.Generation,
			TemplateGeneration: 1, Applied: true, AppliedReason: workv1alpha1.AppliedReasonSuccess, Health: workv1alpha1.ResourceHealthy,
			Status: &runtime.RawExtension{Raw: fmt.Appendf(nil, `{"ready":%d}`, ready)},
		}}}}
		answer, err := i.Fleet.WorkV1alpha1().WorkFeedbacks(clusterv1alpha1.MemberNamespace(member)).Create(ctx, feedback, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		if !answer.Status.Results[0].Accepted {
			return errors.New(answer.Status.Results[0].Message)
		}
		return nil
	})
}

// wantStatus waits until the template has a number in its status.
func (i interpreted) wantStatus(reason, field string, want int64) {
	i.Helper()
	eventually(i.T, reason, func(ctx context.Context) error {
		live, err := i.Dynamic.Resource(databases).Namespace(metav1.NamespaceDefault).Get(ctx, "db", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if got, found, _ := unstructured.NestedInt64(live.Object, "status", field); !found || got != want {
			return fmt.Errorf("want %s %d, got %v", field, want, live.Object["status"])
		}
		return nil
	})
}

// wantCondition waits until the binding says something.
func (i interpreted) wantCondition(reason, condition, message string) {
	i.Helper()
	eventually(i.T, reason, func(ctx context.Context) error {
		binding, err := i.binding(ctx)
		if err != nil {
			return err
		}
		found := meta.FindStatusCondition(binding.Status.Conditions, condition)
		if found == nil || found.Status != metav1.ConditionFalse || !strings.Contains(found.Message, message) {
			return fmt.Errorf("want %s with %q, got %+v", condition, message, found)
		}
		return nil
	})
}

// TestCustomizationsWhileRunning changes how a kind is read, from its placement to its
// status, while nothing restarts.
func TestCustomizationsWhileRunning(t *testing.T) {
	t.Parallel()
	i := interpreted{T: t, APIServer: start(t)}
	const (
		size     = `Replicas{replicas: object.spec.size}`
		revision = `Object{spec: Object.spec{size: replicas}}`
		sum      = `Object.status{ready: items.map(i, int(i.status.?ready.orValue(0))).sum()}`
	)
	i.serveDatabases()
	i.interpret(size, revision, sum)
	eventually(t, "Databases to be served", func(ctx context.Context) error {
		_, err := i.Dynamic.Resource(databases).Namespace(metav1.NamespaceDefault).Create(ctx,
			decoded(t, `{apiVersion: example.com/v1, kind: Database, metadata: {name: db}, spec: {size: 4}}`), metav1.CreateOptions{})
		return err
	})
	i.wantSizes("it is divided", 2, 2)
	i.report("berlin", 2)
	i.report("tokyo", 1)
	i.wantStatus("what members report is added up", "ready", 3)

	i.interpret(`Replicas{replicas: 2 * object.spec.size}`, revision, sum)
	i.wantSizes("another number is divided", 4, 4)
	i.interpret(`Replicas{replicas: 2 * object.spec.size}`, `Object{spec: Object.spec{size: replicas + 10}}`, sum)
	i.wantSizes("replicas are set otherwise", 14, 14)
	i.interpret(size, revision, `Object.status{ready: items.map(i, int(i.status.?ready.orValue(0))).sum(), members: items.size()}`)
	i.wantSizes("and as before", 2, 2)
	i.wantStatus("the status follows without a report", "members", 2)

	i.interpret(`Replicas{replicas: object.spec.count}`, revision, `Object.status{ready: items[0].status.count}`)
	i.wantCondition("the binding says what fails of the placement", workv1alpha1.ConditionScheduled, `interpret replicaResource of Database.example.com by customization "databases": no such key: count`)
	i.wantCondition("and of the status", workv1alpha1.ConditionStatusComplete, "interpret statusAggregation of Database.example.com")
	i.wantSizes("what is placed stays", 2, 2)
	i.wantStatus("so does the status", "members", 2)

	i.interpret(`Replicas{replicas: 3 * object.spec.size}`, revision, sum)
	i.wantSizes("a better one takes over", 6, 6)
	eventually(t, "the binding to say so", func(ctx context.Context) error {
		binding, err := i.binding(ctx)
		if err != nil {
			return err
		}
		if c := meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionStatusComplete); c != nil {
			return fmt.Errorf("it says %+v", c)
		}
		if c := meta.FindStatusCondition(binding.Status.Conditions, workv1alpha1.ConditionScheduled); c == nil || c.Status != metav1.ConditionTrue {
			return fmt.Errorf("it says %+v", c)
		}
		return nil
	})
}
