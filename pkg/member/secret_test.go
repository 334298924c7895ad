// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	kubefake "k8s.io/client-go/kubernetes/fake"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
)

// TestSecretEditedByHand has a connection follow the fleet's Secret without a
// restart.
func TestSecretEditedByHand(t *testing.T) {
	f := fake.Start(t)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-one", Name: "one"},
		Data:       map[string][]byte{wellknown.SecretKeyToken: []byte(fake.Token)},
	}
	kube := kubefake.NewClientset(secret)
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: clusterv1alpha1.ClusterSpec{
		APIEndpoint: f.Config().Host, InsecureSkipTLSVerification: true,
		SecretRef: &clusterv1alpha1.LocalSecretReference{Namespace: secret.Namespace, Name: secret.Name},
	}}
	m, _ := connected(t, f, func(o *Options) {
		o.Access = PushAccess(func() (*clusterv1alpha1.Cluster, error) { return cluster, nil }, kube.CoreV1())
	})
	awaitHealth(t, m, "usable", usable)
	edit := func(token string) {
		t.Helper()
		edited := secret.DeepCopy()
		edited.Data[wellknown.SecretKeyToken] = []byte(token)
		if _, err := kube.CoreV1().Secrets(secret.Namespace).Update(t.Context(), edited, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	// A token that the member refuses is looked up again at once.
	edit("second")
	f.SetToken("second")
	_, _ = m.Core().Namespaces().Get(t.Context(), metav1.NamespaceDefault, metav1.GetOptions{})
	awaitHealth(t, m, "usable with the second token", func(h Health) bool { return h.Usable && *m.transport.token.Load() == "second" })

	// One that was rotated is taken up while the old one still works.
	edit("third")
	m.Renew()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		return *m.transport.token.Load() == "third", nil
	})
	if err != nil {
		t.Errorf("the third token is not taken up: %v", err)
	}
}
