// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/test/integration/harness"
)

// TestIdentity starts a fleet again, whose etcd is there, lost, or another fleet's.
func TestIdentity(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "fleet")
	etcd, file := filepath.Join(dir, "etcd"), filepath.Join(dir, "pki", "fleet-id")
	started := func(reason string, want types.UID) types.UID {
		t.Helper()
		server := harness.StartAPIServer(t, dir)
		defer server.Stop()
		namespace, err := server.Kube.CoreV1().Namespaces().Get(t.Context(), metav1.NamespaceSystem, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if namespace.Status.Phase != corev1.NamespaceActive || len(namespace.Spec.Finalizers) != 1 || namespace.Labels[corev1.LabelMetadataName] != metav1.NamespaceSystem {
			t.Errorf("%s: it is a namespace as any other: %v", reason, namespace)
		}
		if want != "" && namespace.UID != want {
			t.Errorf("%s: the fleet is %s, want %s", reason, namespace.UID, want)
		}
		copied, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(copied)) != string(namespace.UID) {
			t.Errorf("%s: the copy says %q, want %s: %v", reason, copied, namespace.UID, err)
		}
		return namespace.UID
	}
	id := started("the first start", "")
	started("it is the same after a restart", id)
	if err := os.RemoveAll(etcd); err != nil {
		t.Fatal(err)
	}
	started("it is the same after it lost its etcd", id)
	if err := os.WriteFile(file, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	started("what etcd says is right", id)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	started("a copy that is missing is made", id)
	if err := errors.Join(os.Remove(file), os.Mkdir(filepath.Join(dir, "pki", ".fleet-id"), 0o700)); err != nil {
		t.Fatal(err)
	}
	server := harness.StartAPIServer(t, dir)
	if _, err := server.Kube.CoreV1().Namespaces().Get(t.Context(), metav1.NamespaceSystem, metav1.GetOptions{}); err != nil {
		t.Errorf("it serves though the copy cannot be written: %v", err)
	}
}
