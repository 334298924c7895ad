// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	cliflag "k8s.io/component-base/cli/flag"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/apiserver"
	"fleet.dev/fleet/pkg/member/fake"
	"fleet.dev/fleet/test/integration/harness"
)

const waitLong = 60 * time.Second

// start returns an API server that shows members' Pods.
func start(t *testing.T, dir string) *harness.APIServer {
	t.Helper()
	return harness.StartAPIServer(t, dir, func(o *apiserver.Options) { o.Projections.Enabled = cliflag.True })
}

// join makes a fake a member in Push mode.
func join(t *testing.T, server *harness.APIServer, name string, member *fake.Member) {
	t.Helper()
	joinAt(t, server, name, member, member.Config().Host)
}

// joinAt makes a fake, which is reached at an address, a member in Push mode.
func joinAt(t *testing.T, server *harness.APIServer, name string, member *fake.Member, address string) {
	t.Helper()
	namespace := clusterv1alpha1.MemberNamespace(name)
	_, err := server.Kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name + "-impersonator"},
		Data:       map[string][]byte{wellknown.SecretKeyToken: []byte(fake.Token)},
	}
	if _, err := server.Kube.CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	reference := &clusterv1alpha1.LocalSecretReference{Namespace: namespace, Name: secret.Name}
	cluster := &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: clusterv1alpha1.ClusterSpec{
			SyncMode: clusterv1alpha1.Push, ID: string(member.UID()), APIEndpoint: address, InsecureSkipTLSVerification: true,
			SecretRef: reference, ImpersonatorSecretRef: reference, Accepted: true,
		},
	}
	if _, err := server.Fleet.ClusterV1alpha1().Clusters().Create(t.Context(), cluster, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// pod is a Pod a member made of a fleet's workload.
func pod(t *testing.T, name, node string) *unstructured.Unstructured {
	t.Helper()
	return fake.Manifest(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {namespace: default, name: %s, labels: {app: web, %s: abc}}
spec: {nodeName: %s, containers: [{name: web, image: nginx}]}
status: {phase: Running, podIP: 10.0.0.1}
`, name, wellknown.LabelTemplate, node))
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func(ctx context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, waitLong, true, func(ctx context.Context) (bool, error) {
		return holds(ctx), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
