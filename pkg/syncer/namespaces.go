// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// ensureNamespace makes sure that the member has the namespace, and creates it
// with the fleet's marks when it has not. One that exists is left as it is.
func (s *session) ensureNamespace(ctx context.Context, name string) error {
	s.mu.Lock()
	_, known := s.namespaces[name]
	s.mu.Unlock()
	if known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	namespaces := s.member.Core().Namespaces()
	_, err := namespaces.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		// Should somebody else create it at this moment, it is theirs.
		if _, err = namespaces.Create(ctx, s.newNamespace(name), metav1.CreateOptions{FieldManager: wellknown.FieldManager}); apierrors.IsAlreadyExists(err) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("ensure namespace %q in member %q: %w", name, s.cluster, err)
	}
	s.mu.Lock()
	s.namespaces[name] = struct{}{}
	s.mu.Unlock()
	return nil
}

// newNamespace is a namespace that would not exist without the fleet.
func (s *session) newNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{wellknown.LabelManagedBy: s.fleetID},
		Annotations: map[string]string{
			wellknown.AnnotationFleetID:          s.fleetID,
			wellknown.AnnotationCreatedNamespace: "true",
		},
	}}
}

// forgetNamespace has the namespace looked up again when it is needed next.
func (s *session) forgetNamespace(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.namespaces, name)
}

// markCreated makes the mark of newNamespace part of what is desired.
func markCreated(namespace *unstructured.Unstructured) {
	annotate(namespace, wellknown.AnnotationCreatedNamespace, "true")
}

// createdNamespace returns true for namespaces the fleet created.
func (o *observed) createdNamespace() bool {
	return o.Annotations[wellknown.AnnotationCreatedNamespace] == "true"
}
