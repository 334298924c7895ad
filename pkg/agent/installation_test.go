// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metadatafake "k8s.io/client-go/metadata/fake"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

func TestOwn(t *testing.T) {
	object := func(apiVersion, kind, namespace, name string, ours bool) *metav1.PartialObjectMetadata {
		o := &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		}
		if ours {
			o.Labels = map[string]string{wellknown.LabelApp: wellknown.AgentName}
		}
		return o
	}
	role := object("rbac.authorization.k8s.io/v1", "ClusterRole", "", wellknown.AgentName, true)
	role.UID = "uid-of-role"
	parts := func(namespaceIsOurs bool) []runtime.Object {
		return []runtime.Object{
			object("v1", "Namespace", "", wellknown.NamespaceSystem, namespaceIsOurs),
			object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", wellknown.AgentName, true),
			object("v1", "Secret", wellknown.NamespaceSystem, wellknown.AgentName, true),
		}
	}
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		reason  string
		objects []runtime.Object
		want    map[string]bool
		patches int
	}{
		"Manifest": {
			reason:  "what a manifest made goes with the ClusterRole; what is not there is no error",
			objects: append(parts(true), role),
			want:    map[string]bool{"namespaces": true, "clusterrolebindings": true, "secrets": true},
			patches: 3,
		},
		"SharedNamespace": {
			reason:  "a namespace that was there before stays",
			objects: append(parts(false), role),
			want:    map[string]bool{"namespaces": false, "clusterrolebindings": true, "secrets": true},
			patches: 2,
		},
		"NoRole": {
			reason:  "an agent run by other means owns nothing",
			objects: parts(true),
			want:    map[string]bool{"namespaces": false, "clusterrolebindings": false, "secrets": false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := metadatafake.NewSimpleMetadataClient(scheme, tc.objects...)
			for range 2 { // the second time there is nothing to do
				if err := own(t.Context(), client); err != nil {
					t.Fatal(err)
				}
			}
			got, patches := map[string]bool{}, 0
			for _, part := range installed {
				object, err := client.Resource(part.GroupVersionResource).Namespace(part.namespace).Get(t.Context(), part.name, metav1.GetOptions{})
				if err == nil {
					got[part.Resource] = owns(role.UID, object)
				}
			}
			for _, action := range client.Actions() {
				if action.GetVerb() == "patch" {
					patches++
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || patches != tc.patches {
				t.Errorf("%s: %d patches, want %d; owned: -want +got:\n%s", tc.reason, patches, tc.patches, diff)
			}
		})
	}
}
