// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// TestOwners has a ConfigMap of the fleet own others. In the member they belong to its
// copy there, whose garbage collector must take none that is to stay.
func TestOwners(t *testing.T) {
	s := newSpace(t)
	s.pinToEach(t)
	home := bed.members[0]
	if err := s.createConfig(t.Context(), home.Name(), "owner", "a"); err != nil {
		t.Fatal(err)
	}
	owner, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "owner", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kept", "freed"} {
		if err := s.createOwned(t.Context(), home.Name(), name, owner); err != nil {
			t.Fatal(err)
		}
		eventually(t, propagation, name+" to belong to its owner in the member", func(ctx context.Context) error {
			return s.checkOwned(ctx, home, name)
		})
	}
	before, err := home.memberClient.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	s.kubectl(t, "patch", "configmap", "kept", "--type=merge", "--patch", `{"metadata":{"ownerReferences":null}}`)
	s.kubectl(t, "delete", "configmap", "owner")
	eventually(t, propagation, "the owner to go, and what belongs to it", func(ctx context.Context) error {
		for _, configMaps := range []typedcorev1.ConfigMapInterface{s.kube.CoreV1().ConfigMaps(s.namespace), home.memberClient.CoreV1().ConfigMaps(s.namespace)} {
			for _, name := range []string{"owner", "freed"} {
				switch _, err := configMaps.Get(ctx, name, metav1.GetOptions{}); {
				case err == nil:
					return fmt.Errorf("configmap %s is there", name)
				case !apierrors.IsNotFound(err):
					return err
				}
			}
		}
		return nil
	})
	after, err := home.memberClient.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("what does not belong to it any more went with it: %v", err)
	}
	if after.UID != before.UID {
		t.Errorf("what does not belong to it any more was made anew: uid %s, want %s", after.UID, before.UID)
	}
}

// createOwned creates a ConfigMap that belongs to another.
func (s *space) createOwned(ctx context.Context, home, name string, owner *corev1.ConfigMap) error {
	_, err := s.kube.CoreV1().ConfigMaps(s.namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{homeLabel: home},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}},
		},
	}, metav1.CreateOptions{})
	return err
}

// checkOwned checks that a ConfigMap belongs to that of the name owner, both in a
// member.
func (s *space) checkOwned(ctx context.Context, m *member, name string) error {
	configMaps := m.memberClient.CoreV1().ConfigMaps(s.namespace)
	owner, err := configMaps.Get(ctx, "owner", metav1.GetOptions{})
	if err != nil {
		return err
	}
	owned, err := configMaps.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if references := owned.OwnerReferences; len(references) != 1 || references[0].UID != owner.UID {
		return fmt.Errorf("%s belongs to %v, want uid %s", name, references, owner.UID)
	}
	return nil
}
