// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// customDefinition is made while the fleet runs. The version that is stored is not the
// one that is preferred.
const customDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: fridges.kitchen.example.com}
spec:
  group: kitchen.example.com
  scope: Namespaced
  names: {kind: Fridge, listKind: FridgeList, plural: fridges, singular: fridge}
  versions:
  - &version
    name: v1beta1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.shelves, statusReplicasPath: .status.shelves}}
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {shelves: {type: integer}, color: {type: string}}}, status: {type: object, properties: {shelves: {type: integer}}}}}}
  - <<: *version
    name: v1
    storage: false
`

var fridges = schema.GroupVersionResource{Group: "kitchen.example.com", Version: "v1", Resource: "fridges"}

// TestCustomResource carries a custom resource through its life: its name is generated,
// it is scaled through the subresource, and each member reports a status. The other
// kinds are in test/long/kinds.
func TestCustomResource(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	t.Cleanup(func() {
		if out := asAdmin().run(t, "kubectl", "delete", "crd", "fridges.kitchen.example.com", "--ignore-not-found"); out.code != 0 {
			t.Errorf("clean up: %s", out.stderr)
		}
	})
	if out := s.kubectlStdin(t, customDefinition, "apply", "-f", "-"); out.code != 0 {
		t.Fatalf("define: %s", out.stderr)
	}
	s.kubectl(t, "wait", "--for=condition=Established", "crd/fridges.kitchen.example.com", "--timeout=60s")
	var name string
	eventually(t, propagation, "the fleet to serve the kind", func(context.Context) error {
		out := s.kubectlStdin(t, "apiVersion: kitchen.example.com/v1\nkind: Fridge\nmetadata: {generateName: cold-}\nspec: {shelves: 2, color: white}\n", "create", "-f", "-", "-o", "name")
		if out.code != 0 {
			return fmt.Errorf("create: %s", out.stderr)
		}
		name = strings.TrimPrefix(strings.TrimSpace(out.stdout), "fridge.kitchen.example.com/")
		return nil
	})
	s.inMembers(t, name, "shelves", int64(2))
	s.kubectl(t, "scale", "fridge/"+name, "--replicas=5")
	s.inMembers(t, name, "shelves", int64(5))
	s.kubectl(t, "patch", "fridge", name, "--type=merge", "-p", `{"spec":{"color":"red"}}`)
	s.inMembers(t, name, "color", "red")

	for _, m := range bed.members {
		_, err := fridgesOf(t, m).Namespace(s.namespace).Patch(t.Context(), name, types.MergePatchType, []byte(`{"status":{"shelves":5}}`), metav1.PatchOptions{}, "status")
		if err != nil {
			t.Fatalf("report from %s: %v", m.Name(), err)
		}
	}
	eventually(t, propagation, "the status to come back", func(context.Context) error {
		if got := s.kubectl(t, "get", "fridge", name, "-o", "jsonpath={.status.shelves}"); got != "5" {
			return fmt.Errorf("status.shelves is %q", got)
		}
		return nil
	})

	s.kubectl(t, "delete", "fridge", name)
	eventually(t, propagation, "it to be gone", func(ctx context.Context) error {
		for _, m := range bed.members {
			if _, err := fridgesOf(t, m).Namespace(s.namespace).Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("in %s: %w", m.Name(), err)
			}
		}
		return nil
	})
}

// inMembers waits until every member has the value in the spec of a fridge.
func (s *space) inMembers(t *testing.T, name, field string, want any) {
	t.Helper()
	eventually(t, propagation, fmt.Sprintf("%s %v in every member", field, want), func(ctx context.Context) error {
		for _, m := range bed.members {
			object, err := fridgesOf(t, m).Namespace(s.namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return fmt.Errorf("in %s: %w", m.Name(), err)
			}
			if got, _, _ := unstructured.NestedFieldNoCopy(object.Object, "spec", field); got != want {
				return fmt.Errorf("in %s: %s is %v", m.Name(), field, got)
			}
		}
		return nil
	})
}

func fridgesOf(t *testing.T, m *member) dynamic.NamespaceableResourceInterface {
	t.Helper()
	config, err := m.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	memberClient, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return memberClient.Resource(fridges)
}
