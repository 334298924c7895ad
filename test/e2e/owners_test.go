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

	s.kubectl(t, "delete", "configmap", "owner", "--cascade=orphan")
	eventually(t, propagation, "what belonged to it to belong to nobody", func(ctx context.Context) error {
		after, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(ctx, "kept", metav1.GetOptions{})
		if err == nil && len(after.OwnerReferences) > 0 {
			err = fmt.Errorf("it belongs to %v", after.OwnerReferences)
		}
		return err
	})
	s.kubectl(t, "delete", "configmap", "freed", "--cascade=foreground")
	eventually(t, propagation, "the member to have neither", func(ctx context.Context) error {
		_, err := home.memberClient.CoreV1().ConfigMaps(s.namespace).Get(ctx, "freed", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("read freed from %s: %w", home.Name(), err)
		}
		return nil
	})
	after, err := home.memberClient.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil || after.UID != before.UID {
		t.Errorf("what was to stay is the same: uid %s, want %s: %v", after.UID, before.UID, err)
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
