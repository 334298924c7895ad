// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// ensureNamespace makes sure that the member has the namespace, and creates it
// with the fleet's marks when it has not. One that exists is left as it is.
func (s *session) ensureNamespace(ctx context.Context, name string) error {
	if s.occupants.isClosed(name) {
		return fmt.Errorf("ensure namespace %q in member %q: %w", name, s.cluster, errClosed)
	}
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

// errClosed says that a namespace may be about to go. It is over in a moment, and not
// worth a report.
var errClosed = errors.New("the last that was in it is leaving")

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

// vacateAttempts is how often a member is asked to let go of a namespace before
// what was last in it is reported gone all the same.
const vacateAttempts = 5

// leave ends what prune began with the named work, when the object of a tombstone is gone: what is last
// in a namespace that exists only because something landed there takes it along. To
// do so before the tombstone is confirmed makes it the record of what is to be done,
// whatever happens to this process.
func (s *session) leave(ctx context.Context, name string, record *record, order order, o outcome) outcome {
	t := record.target
	switch {
	case t.isNamespace():
		// Should it stay, what is in it sees to it.
		s.occupants.yield(t.name, order)
		return o
	case t.namespace == "":
		return o
	case !s.mirror.hasSynced():
		return outcome{retry: soon}
	}
	isLeft, isLast := s.occupants.leave(t.namespace, name, order)
	if !isLast {
		if !isLeft {
			return outcome{retry: soon}
		}
		return o
	}
	if err := s.vacate(ctx, t.namespace); err != nil {
		if record.vacating++; record.vacating < vacateAttempts || !spoke(err) && !errors.Is(err, errIncomplete) {
			s.occupants.open(t.namespace)
			return outcome{retry: soon}
		}
		o.message = strings.TrimPrefix(o.message+"; "+message(err), "; ")
	}
	record.vacating = 0
	s.occupants.openAfter(t.namespace, name, order)
	return o
}

// vacate deletes a closed namespace that the fleet created and that nobody has
// anything in. What the user did with the namespace in the fleet says nothing here:
// no work is about it.
func (s *session) vacate(ctx context.Context, name string) error {
	s.forgetNamespace(name)
	asking, cancel := context.WithTimeout(ctx, requestTimeout)
	live, err := s.member.Core().Namespaces().Get(asking, name, metav1.GetOptions{})
	cancel()
	switch {
	case isMissing(err):
		return nil
	case err != nil:
		return fmt.Errorf("get namespace %q from member %q: %w", name, s.cluster, err)
	case live.Labels[wellknown.LabelManagedBy] != s.fleetID, live.Annotations[wellknown.AnnotationCreatedNamespace] != "true", live.DeletionTimestamp != nil:
		return nil
	}
	strangers, err := s.strangers(ctx, name)
	if err != nil {
		return fmt.Errorf("look what is in namespace %q of member %q: %w", name, s.cluster, err)
	}
	if len(strangers.all) > 0 {
		klog.FromContext(ctx).V(2).Info("Namespace stays in member", "namespace", name, "contents", listed(strangers.all))
		return nil
	}
	asking, cancel = context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err = s.member.Objects().Resource(corev1.SchemeGroupVersion.WithResource("namespaces")).Delete(asking, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion}})
	if err != nil && !isMissing(err) {
		return fmt.Errorf("delete namespace %q from member %q: %w", name, s.cluster, err)
	}
	deletes.WithLabelValues("success").Inc()
	klog.FromContext(ctx).V(2).Info("Deleted from member", "kind", "Namespace", "object", name)
	return nil
}
