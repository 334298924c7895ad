// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member"
)

const (
	// sweepDelay is how long a session carries works before it looks for objects
	// that have none: what is to go, or to be taken over, has mostly done so then.
	sweepDelay = 30 * time.Second
	// sweepInterval is the time between two looks. Each is a list per kind.
	sweepInterval = time.Hour
	// sweepAgain is the time until the next look while there are such objects.
	sweepAgain = 10 * time.Minute
)

// unknown are the objects of a member that carry the mark of the fleet and that no
// work is about: an older or restored etcd does not remember them. They are left
// running, and told of.
type unknown struct {
	// swept is true once the member was looked through.
	swept bool
	// names are "Kind namespace/name", sorted.
	names []string
}

// condition returns the condition of the Cluster, nil when there is nothing to say.
func (u unknown) condition(cluster string) *metav1.Condition {
	if len(u.names) == 0 {
		return nil
	}
	return &metav1.Condition{
		Type: clusterv1alpha1.ClusterConditionUnknownObjects, Status: metav1.ConditionTrue,
		Reason: clusterv1alpha1.ClusterReasonObjectsWithoutTemplate,
		Message: fmt.Sprintf("%d objects carry the mark of this fleet, which knows nothing of them, and are left running: %s; see \"fleet get unknown --cluster %s\"",
			len(u.names), listed(u.names), cluster),
	}
}

// sweepUnknown looks for such objects until ctx ends.
func (s *session) sweepUnknown(ctx context.Context) {
	due := s.clock.Now().Add(s.sweepDelay)
	timer := s.clock.NewTimer(s.sweepDelay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.forgotten:
			if sooner := s.clock.Now().Add(s.sweepDelay); sooner.Before(due) {
				due = sooner
				timer.Reset(s.sweepDelay)
			}
			continue
		case <-timer.C():
		}
		next := sweepInterval
		found, err := s.findUnknown(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			klog.FromContext(ctx).V(2).Info("Member was not looked through for unknown objects", "cluster", s.cluster, "err", err)
			next = sweepAgain
			if errors.Is(err, errNotReady) {
				next = s.sweepDelay // nothing was asked
			}
		default:
			if len(found) > 0 {
				next = sweepAgain
			}
			s.keepUnknown(found)
		}
		due = s.clock.Now().Add(next)
		timer.Reset(next)
	}
}

// noteForgotten has the member looked through soon when a work goes that was no
// tombstone: that is not how the fleet gives anything up, it forgot.
func (s *session) noteForgotten(work *workv1alpha1.Work) {
	if work.Spec.Deleted {
		return
	}
	select {
	case s.forgotten <- struct{}{}:
	default: // it is about to be
	}
}

// keepUnknown remembers what was found, and has it told when it is news.
func (s *session) keepUnknown(found []string) {
	unknownObjects.WithLabelValues(s.cluster).Set(float64(len(found)))
	s.mu.Lock()
	news := !s.unknown.swept || !slices.Equal(s.unknown.names, found)
	s.unknown = unknown{swept: true, names: found}
	s.mu.Unlock()
	if news && len(found) > 0 {
		s.logger.Info("Member has objects of this fleet that are unknown to it; they are left running", "count", len(found))
	}
	if news && s.unknownChanged != nil {
		s.unknownChanged()
	}
}

// unknownNow returns what was found last.
func (s *session) unknownNow() unknown {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unknown
}

// errNotReady says that the member cannot be looked through yet.
var errNotReady = errors.New("it is not ready")

// findUnknown looks through all kinds of the member.
func (s *session) findUnknown(ctx context.Context) ([]string, error) {
	apis := s.member.APIs()
	if health, _ := s.member.Health(); !health.Usable || apis.Empty() || !s.mirror.hasSynced() {
		return nil, fmt.Errorf("look through member %q: %w", s.cluster, errNotReady)
	}
	found := map[objectIdentity]string{}
	for _, kind := range apis.Stored() {
		resource, _ := apis.Resource(kind)
		if err := s.eachMarked(ctx, resource, func(object *metav1.PartialObjectMetadata) {
			if object.Annotations[wellknown.AnnotationTemplateUID] == "" || object.DeletionTimestamp != nil {
				return // a copy of the label, or a namespace that is shared
			}
			t := target{kind: kind, namespace: object.Namespace, name: object.Name}
			found[t.identity()] = t.String()
		}); err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
	}
	// Works last: what was made meanwhile has one.
	s.mirror.each(func(_ string, work *workv1alpha1.Work) { delete(found, targetOf(work).identity()) })
	return slices.Sorted(maps.Values(found)), nil
}

// eachMarked lists the objects of a resource that carry the mark of the fleet.
func (s *session) eachMarked(ctx context.Context, resource member.Resource, visit func(*metav1.PartialObjectMetadata)) error {
	return s.each(ctx, resource, "", metav1.ListOptions{LabelSelector: wellknown.LabelManagedBy + "=" + s.fleetID}, visit)
}
