// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	kubefake "k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
)

func TestEnabled(t *testing.T) {
	for name, tc := range map[string]struct {
		reason    string
		selection []string
		want      []string
	}{
		"Star": {
			reason:    "A star is every controller.",
			selection: []string{"*"},
			want:      Names(),
		},
		"Some": {
			reason:    "Named controllers run, by their older names too.",
			selection: []string{"namespace", ClusterController},
			want:      []string{ClusterController, names.NamespaceController},
		},
		"AllBut": {
			reason:    "A minus takes one out, by its older name too.",
			selection: []string{"*", "-garbagecollector", "-" + names.TokenCleanerController},
			want: slices.DeleteFunc(Names(), func(n string) bool {
				return n == names.GarbageCollectorController || n == names.TokenCleanerController
			}),
		},
		"None": {
			reason: "No selection is no controller.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range enabled(tc.selection) {
				got = append(got, d.name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nenabled(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestWorkersOfAutoscalers(t *testing.T) {
	config, err := NewConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Kube.HPAController.ConcurrentHorizontalPodAutoscalerSyncs; got < 5 {
		t.Errorf("each may wait two seconds for a member that is slow: want upstream's 5 workers, got %d", got)
	}
}

func TestNewRefusesBadConfiguration(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		mutate func(*Config)
		want   string
	}{
		"UnknownController": {
			reason: "A misspelled controller is named, with what would be right.",
			mutate: func(c *Config) { c.Kube.Generic.Controllers = []string{"*", "-garbage"} },
			want:   `controller "garbage" is not known, expected one of ["bootstrap-signer-controller"`,
		},
		"NoClient": {
			reason: "There is nothing to run without a fleet.",
			mutate: func(c *Config) { c.RESTConfig = nil },
			want:   "client to the fleet is missing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := NewConfig(&rest.Config{})
			if err != nil {
				t.Fatal(err)
			}
			tc.mutate(config)
			if _, err := New(config); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("\n%s\nNew(...): want error with %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

func TestTrim(t *testing.T) {
	managed := []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	secret := func(kind corev1.SecretType) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "s", ManagedFields: managed},
			Type:       kind,
			Data:       map[string][]byte{"token": []byte("x")},
		}
	}
	configMap := func(name string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, ManagedFields: managed}, Data: map[string]string{"a": "b"}}
	}
	for name, tc := range map[string]struct {
		reason   string
		object   metav1.Object
		hasData  func(object any) bool
		wantData bool
	}{
		"Opaque":         {reason: "No controller reads users' Secrets.", object: secret(corev1.SecretTypeOpaque), hasData: secretData},
		"Token":          {reason: "The token controller fills these.", object: secret(corev1.SecretTypeServiceAccountToken), hasData: secretData, wantData: true},
		"BootstrapToken": {reason: "The bootstrap controllers read these.", object: secret("bootstrap.kubernetes.io/token"), hasData: secretData, wantData: true},
		"ConfigMap":      {reason: "No controller reads users' ConfigMaps.", object: configMap("settings"), hasData: configMapData},
		"RootCA":         {reason: "The root CA publisher compares this one.", object: configMap("kube-root-ca.crt"), hasData: configMapData, wantData: true},
		"ClusterInfo":    {reason: "The bootstrap signer signs this one.", object: configMap("cluster-info"), hasData: configMapData, wantData: true},
	} {
		t.Run(name, func(t *testing.T) {
			trimmed, err := trim(tc.object)
			if err != nil {
				t.Fatal(err)
			}
			if got := tc.hasData(trimmed); got != tc.wantData {
				t.Errorf("\n%s\ntrim(...): want data kept %t, got %t", tc.reason, tc.wantData, got)
			}
			if fields := trimmed.(metav1.Object).GetManagedFields(); fields != nil {
				t.Errorf("\nManaged fields are never kept.\ntrim(...): got %v", fields)
			}
		})
	}
}

func secretData(object any) bool    { return len(object.(*corev1.Secret).Data) > 0 }
func configMapData(object any) bool { return len(object.(*corev1.ConfigMap).Data) > 0 }

func TestInformerFactory(t *testing.T) {
	factory := &informerFactory{
		typed:    informers.NewSharedInformerFactory(kubefake.NewClientset(), 0),
		metadata: metadatainformer.NewSharedInformerFactory(metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme()), 0),
	}
	for resource := range readInFull {
		first, err := factory.ForResource(resource)
		if err != nil {
			t.Errorf("\nA resource read in full has a typed informer.\nForResource(%s): %v", resource, err)
			continue
		}
		second, err := factory.typed.ForResource(resource)
		if err != nil {
			t.Fatal(err)
		}
		if first.Informer() != second.Informer() {
			t.Errorf("\nControllers share one informer per resource.\nForResource(%s)", resource)
		}
	}
	ingresses := schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}
	got, err := factory.ForResource(ingresses)
	if err != nil {
		t.Fatal(err)
	}
	if got.Informer() != factory.metadata.ForResource(ingresses).Informer() {
		t.Error("\nA resource that nobody reads in full is watched as metadata.\nForResource(ingresses)")
	}
}

func TestRunAllWaitsForLoops(t *testing.T) {
	loopOf := func(lag time.Duration) loop {
		return func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(lag)
		}
	}
	for name, tc := range map[string]struct {
		reason string
		loops  []namedLoop
		want   string
	}{
		"Quick": {
			reason: "Loops that return in time are waited for.",
			loops:  []namedLoop{{"a", loopOf(time.Second)}, {"b", loopOf(0)}},
		},
		"Late": {
			reason: "The one that does not return is named.",
			loops:  []namedLoop{{"a", loopOf(time.Hour)}, {"b", loopOf(0)}},
			want:   `stop the controllers: ["a"] did not return within 10s`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				err := runAll(ctx, tc.loops, 10*time.Second)
				var got string
				if err != nil {
					got = err.Error()
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("\n%s\nrunAll(...): -want, +got:\n%s", tc.reason, diff)
				}
				time.Sleep(2 * time.Hour) // let the late one return
			})
		})
	}
}
