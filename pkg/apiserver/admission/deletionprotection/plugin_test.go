// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package deletionprotection

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

func deleting(object runtime.Object, kind, resource string) admission.Attributes {
	return admission.NewAttributesRecord(nil, object, schema.GroupVersionKind{Version: "v1", Kind: kind}, "", "shop",
		schema.GroupVersionResource{Version: "v1", Resource: resource}, "", admission.Delete, nil, false, nil)
}

// TestValidateBlind has a namespace, or a definition, that cannot be looked into.
func TestValidateBlind(t *testing.T) {
	resources := []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}},
	}}}
	now := metav1.Now()
	tests := map[string]struct {
		reason     string
		attributes admission.Attributes
		want       string
	}{
		"Namespace": {
			reason:     "what cannot be looked into is not deleted",
			attributes: deleting(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, "Namespace", "namespaces"),
			want:       "list configmaps",
		},
		"Terminating": {
			reason:     "it is being deleted already: to say so again must not fail",
			attributes: deleting(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", DeletionTimestamp: &now}}, "Namespace", "namespaces"),
		},
		"NotServed": {
			reason: "custom resources that nobody can read may be protected",
			attributes: admission.NewAttributesRecord(nil, &apiextensions.CustomResourceDefinition{
				Status: apiextensions.CustomResourceDefinitionStatus{Conditions: []apiextensions.CustomResourceDefinitionCondition{{Type: apiextensions.Established, Status: apiextensions.ConditionTrue}}},
			}, schema.GroupVersionKind{}, "", "x", apiextensions.Resource("customresourcedefinitions").WithVersion("v1"), "", admission.Delete, nil, false, nil),
			want: "have one served",
		},
		"OtherValue": {
			reason:     "only Always protects",
			attributes: deleting(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{wellknown.LabelDeletionProtected: "no"}}}, "ConfigMap", "configmaps"),
		},
		"Nothing": {
			reason:     "the request as a whole is asked about before its objects",
			attributes: deleting(nil, "ConfigMap", "configmaps"),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{{Version: "v1", Resource: "configmaps"}: "ConfigMapList"})
			client.PrependReactor("list", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("etcd is away") })
			kube := fake.NewSimpleClientset()
			kube.Resources = resources
			plugin := New()
			plugin.SetDynamicClient(client)
			plugin.SetExternalKubeClientSet(kube)
			err := plugin.Validate(t.Context(), tc.attributes, nil)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: want %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}
