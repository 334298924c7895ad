// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"fleet.dev/fleet/pkg/controllers/manager"
	"fleet.dev/fleet/test/integration/harness"
)

// patience bounds every wait. Deleting a namespace alone takes five seconds,
// because its controller lets other API servers catch up first.
const patience = 60 * time.Second

// start runs an API server and a controller manager with its own identity.
func start(t *testing.T, options ...func(*manager.Config)) *harness.APIServer {
	t.Helper()
	fleet := harness.StartAPIServer(t, "")
	config, err := manager.NewConfig(fleet.ConfigFor(t, "controller-manager"))
	if err != nil {
		t.Fatal(err)
	}
	pki := filepath.Join(fleet.DataDir, "pki")
	config.Kube.SAController.ServiceAccountKeyFile = filepath.Join(pki, "sa.key")
	config.Kube.SAController.RootCAFile = filepath.Join(pki, "ca.crt")
	config.Kube.CSRSigningController.ClusterSigningCertFile = filepath.Join(pki, "ca.crt")
	config.Kube.CSRSigningController.ClusterSigningKeyFile = filepath.Join(pki, "ca.key")
	for _, option := range options {
		option(config)
	}
	controllers, err := manager.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- controllers.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop the controller manager: %v", err)
		}
	})
	return fleet
}

// eventually waits until met returns true, and fails with reason if it does not.
// Errors of met count as not yet.
func eventually(t *testing.T, reason string, met func(ctx context.Context) (bool, error)) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		var ok bool
		ok, last = met(ctx)
		return ok && last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: not within %s (last error: %v)", reason, patience, last)
	}
}

// must fails the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(result T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
}

// newNamespace makes a namespace of the test's own.
func newNamespace(t *testing.T, fleet *harness.APIServer, name string) string {
	t.Helper()
	must[*corev1.Namespace](t)(fleet.Kube.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
	return name
}
