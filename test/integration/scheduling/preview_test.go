// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduling

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// warnings are what the server said beside its answers.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	texts := w.texts
	w.texts = nil
	return texts
}

// TestDryRunTellsThePlacement creates, applies and deletes as "kubectl
// --dry-run=server" does.
func TestDryRunTellsThePlacement(t *testing.T) {
	t.Parallel()
	fleet := start(t)
	told := &warnings{}
	config := rest.CopyConfig(fleet.Config)
	config.WarningHandlerWithContext = told
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	deployments, maps := client.AppsV1().Deployments(metav1.NamespaceDefault), client.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	dryRun := []string{metav1.DryRunAll}
	want := func(reason string, texts ...string) {
		t.Helper()
		if diff := cmp.Diff(texts, told.take()); diff != "" {
			t.Errorf("\n%s\nwarnings: -want, +got:\n%s", reason, diff)
		}
	}

	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{DryRun: dryRun}); err != nil {
		t.Fatal(err)
	}
	want("Configuration waits for workloads.", "placement: on no member: its namespace has no workload")
	if _, err := deployments.Create(t.Context(), deployment("web", 4), metav1.CreateOptions{DryRun: dryRun}); err != nil {
		t.Fatal(err)
	}
	want("A workload that does not exist.", "placement: on berlin (2 replicas), tokyo (2 replicas), by ClusterPropagationPolicy fleet-default")
	if _, err := deployments.Get(t.Context(), "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a dry run left something behind: %v", err)
	}

	if _, err := deployments.Create(t.Context(), deployment("web", 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want("A request that is no dry run says nothing.")
	var at []workv1alpha1.TargetCluster
	eventually(t, "placed", func(ctx context.Context) error {
		binding, err := fleet.Fleet.WorkV1alpha1().ResourceBindings(metav1.NamespaceDefault).Get(ctx, workv1alpha1.BindingName("Deployment", "web"), metav1.GetOptions{})
		if err != nil {
			return err
		}
		at = binding.Spec.Clusters
		return nil
	})
	if _, err := deployments.Patch(t.Context(), "web", types.MergePatchType, []byte(`{"metadata":{"annotations":{"a":"b"}}}`), metav1.PatchOptions{DryRun: dryRun}); err != nil {
		t.Fatal(err)
	}
	want("What exists stays where it is.", fmt.Sprintf("placement: on %s (1 replica), by ClusterPropagationPolicy fleet-default", at[0].Name))
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, metav1.CreateOptions{DryRun: dryRun}); err != nil {
		t.Fatal(err)
	}
	want("Configuration follows what runs.", fmt.Sprintf("placement: on %s, by ClusterPropagationPolicy fleet-default", at[0].Name))
	if err := deployments.Delete(t.Context(), "web", metav1.DeleteOptions{DryRun: dryRun}); err != nil {
		t.Fatal(err)
	}
	if got := told.take(); slices.ContainsFunc(got, func(text string) bool { return text != "" }) {
		t.Errorf("a deletion has no placement: %q", got)
	}
}
