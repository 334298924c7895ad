// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

func TestDeparture(t *testing.T) {
	there := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: testCluster, UID: "1"}}
	going := there.DeepCopy()
	going.DeletionTimestamp = &metav1.Time{}
	*going.DeletionTimestamp = metav1.Now()
	other := going.DeepCopy()
	other.Name = "rome"
	successor := going.DeepCopy()
	successor.UID = "2"
	type event func(*departure)
	seen := func(c *clusterv1alpha1.Cluster) event { return func(d *departure) { d.Seen(c) } }
	deleted := func(c *clusterv1alpha1.Cluster) event { return func(d *departure) { d.Deleted(c) } }
	for name, tc := range map[string]struct {
		reason string
		events []event
		want   bool
	}{
		"Left":      {"the deletion began and ended", []event{seen(there), seen(going), deleted(going)}, true},
		"LateStart": {"an agent that starts meanwhile sees it end", []event{seen(going), deleted(going)}, true},
		"There":     {"nothing happened", []event{seen(there), seen(there)}, false},
		"Leaving":   {"objects are still to be deleted", []event{seen(there), seen(going)}, false},
		"Sudden":    {"nobody unjoined it: the cluster controller always sees a deletion begin", []event{seen(there), deleted(there)}, false},
		"Other":     {"another member leaves", []event{seen(there), seen(other), deleted(other)}, false},
		"Successor": {"the one that ended is not the one whose deletion began", []event{seen(going), deleted(successor)}, false},
		"Twice":     {"what is over is over", []event{seen(going), deleted(going), seen(successor), deleted(successor)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeparture(testCluster)
			for _, event := range tc.events {
				event(d)
			}
			got := false
			select {
			case <-d.left:
				got = true
			default:
			}
			if got != tc.want {
				t.Errorf("%s: left: %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}

func TestRemoval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: wellknown.AgentName}}
		member := fake.NewClientset(role)
		failures := 3
		var stored Credentials
		store := NewMemoryStore(Credentials{Bootstrap: []byte("b"), Certificate: []byte("c"), Key: []byte("k")})
		member.PrependReactor("delete", "clusterroles", func(action clienttesting.Action) (bool, runtime.Object, error) {
			stored, _ = store.Load(t.Context())
			if policy := action.(clienttesting.DeleteActionImpl).DeleteOptions.PropagationPolicy; policy == nil || *policy != metav1.DeletePropagationBackground {
				t.Error("what the ClusterRole owns goes with it")
			}
			failures--
			return failures >= 0, nil, apierrors.NewInternalError(errors.New("not now"))
		})
		r := &removal{store: store, member: member, clock: clock.RealClock{}}
		if err := r.run(t.Context()); !errors.Is(err, ErrLeft) {
			t.Fatalf("run(): %v, want %v", err, ErrLeft)
		}
		if diff := cmp.Diff(Credentials{Left: true}, stored); diff != "" {
			t.Errorf("the credentials go first, so that a restart does not join again: -want +got:\n%s", diff)
		}
		if _, err := member.RbacV1().ClusterRoles().Get(t.Context(), wellknown.AgentName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the ClusterRole goes, however often it takes: %v", err)
		}
		if err := r.run(t.Context()); !errors.Is(err, ErrLeft) {
			t.Errorf("removing again does nothing: %v", err)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		member.PrependReactor("delete", "clusterroles", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewInternalError(errors.New("never"))
		})
		if err := r.run(ctx); err != nil {
			t.Errorf("it ends with its context: %v", err)
		}
	})
}

func TestSecretStore(t *testing.T) {
	member := fake.NewClientset()
	store := NewSecretStore(member.CoreV1())
	if diff := cmp.Diff(Credentials{}, stored(t, store)); diff != "" {
		t.Errorf("without a Secret there are none: -want +got:\n%s", diff)
	}

	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: wellknown.NamespaceSystem, Name: wellknown.AgentName, Annotations: map[string]string{"theirs": "a"}},
		Data:       map[string][]byte{"bootstrap-kubeconfig": []byte("b"), "theirs": []byte("x")},
	}
	if _, err := member.CoreV1().Secrets(secret.Namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	conflicts := 2
	member.PrependReactor("update", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		conflicts--
		return conflicts >= 0, nil, apierrors.NewConflict(corev1.Resource("secrets"), secret.Name, errors.New("changed"))
	})
	want := Credentials{Bootstrap: []byte("b"), Request: "r", RequestKey: []byte("k")}
	err := store.Update(t.Context(), func(credentials *Credentials) error {
		credentials.Request, credentials.RequestKey = "r", []byte("k")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, stored(t, store)); diff != "" {
		t.Errorf("a change is applied to what is there, again when that changed: -want +got:\n%s", diff)
	}

	if err := store.Update(t.Context(), func(credentials *Credentials) error {
		*credentials = Credentials{}
		return errReplaced
	}); !errors.Is(err, errReplaced) {
		t.Errorf("Update(): %v, want the error of the change", err)
	}
	if diff := cmp.Diff(want, stored(t, store)); diff != "" {
		t.Errorf("a refused change changes nothing: -want +got:\n%s", diff)
	}

	if err := store.Update(t.Context(), func(credentials *Credentials) error {
		*credentials = Credentials{Left: true}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := member.CoreV1().Secrets(secret.Namespace).Get(t.Context(), secret.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]byte{"theirs": []byte("x")}, got.Data); diff != "" {
		t.Errorf("what is not the agent's stays: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"theirs": "a", wellknown.AnnotationLeft: "true"}, got.Annotations); diff != "" {
		t.Errorf("the mark is an annotation: -want +got:\n%s", diff)
	}
}
