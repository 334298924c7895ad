// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// What is shown of a member follows from what the fleet means to have there, which is
// enough to look. Before the fleet changes or deletes what it did not make itself, it asks
// the member for the object and for its owner: the owner has to be one that the fleet put
// there. A member may have refused the fleet's, have released it, or have another one under
// that name.

// errNotTheFleets refuses to change what is not known to be the fleet's.
const errNotTheFleets = "it is in member %q, where nothing says now that it was made for this fleet: it can be changed there only"

// confirm fails unless the member itself says that an object is the fleet's.
func (w *writer) confirm(ctx context.Context, t *target) error {
	if w.kind.Confirm == nil {
		return nil
	}
	live, err := t.client.get(ctx, t.namespace, t.name)
	if apierrors.IsNotFound(err) {
		return storage.NewKeyNotFoundError(t.key, 0)
	}
	if err != nil {
		return err
	}
	_, name := splitKey(t.key)
	if same, err := sameObject(t.object, live); err != nil || !same {
		return apierrors.NewConflict(w.kind.Resource.GroupResource(), name, fmt.Errorf("member %q has another one of that name", t.member))
	}
	confirmed, err := w.kind.Confirm(ctx, &witness{client: t.client, fleetID: w.fleetID()}, live)
	if err == nil && !confirmed {
		err = apierrors.NewForbidden(w.kind.Resource.GroupResource(), name, fmt.Errorf(errNotTheFleets, t.member))
	}
	return err
}

func sameObject(shown, live runtime.Object) (bool, error) {
	before, err := meta.Accessor(shown)
	if err != nil {
		return false, err
	}
	now, err := meta.Accessor(live)
	return err == nil && before.GetUID() == now.GetUID(), err
}

// get reads an object from the member.
func (c *client) get(ctx context.Context, namespace, name string) (runtime.Object, error) {
	request, err := c.request(ctx, http.MethodGet, namespace, name, "")
	if err != nil {
		return nil, err
	}
	return c.do(ctx, request)
}

// witness is a member that is asked whether the fleet put an object there.
type witness struct {
	*client

	fleetID string
}

// owner returns an object of the member that the fleet has there by its works, nil when
// the member does not have it from the fleet.
func (w *witness) owner(
	ctx context.Context, templates Templates, kind schema.GroupKind, resource schema.GroupVersionResource, namespace, name string,
) (runtime.Object, error) {
	template, ok := templates.Template(w.member, kind, namespace, name)
	if !ok || w.fleetID == "" {
		return nil, nil //nolint:nilnil // it is not there
	}
	asked := &client{members: w.members, kind: &Kind{Resource: resource, Kind: kind.Kind, Namespaced: true}, member: w.member}
	found, err := asked.get(ctx, namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // it is not there
	}
	if err != nil {
		return nil, err
	}
	accessor, err := meta.Accessor(found)
	if err != nil {
		return nil, err
	}
	if accessor.GetLabels()[wellknown.LabelManagedBy] != w.fleetID ||
		accessor.GetAnnotations()[wellknown.AnnotationTemplateUID] != string(template) {
		return nil, nil //nolint:nilnil // it is another's
	}
	return found, nil
}

// confirmJob says whether the CronJob that a Job belongs to is the fleet's.
func confirmJob(templates Templates) func(context.Context, *witness, runtime.Object) (bool, error) {
	return func(ctx context.Context, member *witness, live runtime.Object) (bool, error) {
		job, ok := live.(*batchv1.Job)
		if !ok || isCopy(job) {
			return false, nil
		}
		controller := metav1.GetControllerOfNoCopy(job)
		if controller == nil || groupKindOf(controller) != cronJobKind {
			return false, nil
		}
		found, err := member.owner(ctx, templates, cronJobKind, batchv1.SchemeGroupVersion.WithResource("cronjobs"), job.Namespace, controller.Name)
		cronJob, ok := found.(*batchv1.CronJob)
		return ok && cronJob.UID == controller.UID, err
	}
}

// confirmClaim says whether a StatefulSet of the fleet claims what a claim claims.
func confirmClaim(templates Templates) func(context.Context, *witness, runtime.Object) (bool, error) {
	return func(ctx context.Context, member *witness, live runtime.Object) (bool, error) {
		claim, ok := live.(*corev1.PersistentVolumeClaim)
		if !ok || isCopy(claim) {
			return false, nil
		}
		for template, set := range setsOf(claim.Name) {
			found, err := member.owner(ctx, templates, statefulSetKind, appsv1.SchemeGroupVersion.WithResource("statefulsets"), claim.Namespace, set)
			if err != nil {
				return false, err
			}
			if owner, ok := found.(*appsv1.StatefulSet); ok && claimedBy(owner, template, claim) {
				return true, nil
			}
		}
		return false, nil
	}
}

// claimedBy says whether a claim is as the StatefulSet controller makes it for one of the
// templates of a set: with the labels by which the set selects, and no other set as owner.
func claimedBy(set *appsv1.StatefulSet, template string, claim *corev1.PersistentVolumeClaim) bool {
	if !slices.ContainsFunc(set.Spec.VolumeClaimTemplates, func(t corev1.PersistentVolumeClaim) bool { return t.Name == template }) {
		return false
	}
	for i := range claim.OwnerReferences {
		if owner := &claim.OwnerReferences[i]; groupKindOf(owner) == statefulSetKind && owner.UID != set.UID {
			return false
		}
	}
	selector := set.Spec.Selector
	return selector != nil && len(selector.MatchLabels) > 0 && labels.SelectorFromSet(selector.MatchLabels).Matches(labels.Set(claim.Labels))
}
