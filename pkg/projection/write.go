// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// attempts is how often a change is computed anew because the object changed in
// the member meanwhile.
const attempts = 5

// writer changes objects where they are: in their members.
type writer struct {
	kind    *Kind
	members Members
	union   *union
	reserve func(ctx context.Context, changes int) error
	fleetID func() string
}

// target is an object of a member that is to be changed.
type target struct {
	claimant

	client    *client
	key       string // in the fleet
	claimed   string // key it wants in the fleet
	namespace string
	name      string // in the member
}

func (w *writer) target(key string) (*target, error) {
	found, base, ok := w.union.find(key)
	if !ok || found.member == "" {
		return nil, storage.NewKeyNotFoundError(key, 0)
	}
	t := &target{claimant: found, key: key, claimed: base, client: &client{members: w.members, kind: w.kind, member: found.member}}
	t.object = found.shown.Object // several may be shown as one
	t.namespace, t.name = splitKey(base)
	t.name = w.kind.nameIn(found.member, t.name)
	return t, nil
}

// update makes in the member what update makes of the object that is shown.
func (w *writer) update(
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions, update storage.UpdateFunc,
) error {
	for attempt := 1; ; attempt++ {
		t, err := w.target(key)
		if err != nil {
			return err
		}
		if err := preconditions.Check(key, t.object); err != nil {
			return err
		}
		updated, _, err := update(t.object.DeepCopyObject(), storage.ResponseMeta{ResourceVersion: t.shown.ResourceVersion})
		if err != nil {
			return err
		}
		if w.spares(ctx) {
			return setValue(out, t.object.DeepCopyObject())
		}
		if w.kind.ReadOnly {
			return w.refusal(t)
		}
		if err = w.confirm(ctx, t); err == nil {
			err = w.apply(ctx, t, updated)
		}
		switch {
		case apierrors.IsConflict(err) && attempt < attempts:
			if err := w.refresh(ctx, t); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			return w.answer(t, out)
		}
	}
}

// spares says whether a request is to succeed and do nothing. Of what is only shown, that
// are also those of the API server itself, which clears the Endpoints of a Service away.
func (w *writer) spares(ctx context.Context) bool {
	return leavesMembers(ctx) || w.kind.ReadOnly && seesStoredOnly(ctx)
}

// refusal says that an object is only shown.
func (w *writer) refusal(t *target) error {
	_, name := splitKey(t.key)
	return apierrors.NewForbidden(w.kind.Resource.GroupResource(), name, fmt.Errorf("it is in member %q, and cannot be changed in the fleet", t.member))
}

// answer returns what is shown of the object after a change, its last state when
// it is gone.
func (w *writer) answer(t *target, out runtime.Object) error {
	if now := w.union.shownAs(t.member, t.claimed); now != nil {
		return setValue(out, now.Object.DeepCopyObject())
	}
	return setValue(out, t.object.DeepCopyObject())
}

// apply turns what became of an object into a request to its member.
func (w *writer) apply(ctx context.Context, t *target, updated runtime.Object) error {
	before, err := w.kind.external(t.object.DeepCopyObject())
	if err != nil {
		return fmt.Errorf("convert %s %q: %w", w.kind.Kind, t.key, err)
	}
	after, err := w.kind.external(updated)
	if err != nil {
		return fmt.Errorf("convert %s %q: %w", w.kind.Kind, t.key, err)
	}
	old, err := meta.Accessor(before)
	if err != nil {
		return err
	}
	wanted, err := meta.Accessor(after)
	if err != nil {
		return err
	}
	wanted.SetManagedFields(nil)
	keepMarks(old, wanted)
	if old.GetDeletionTimestamp() == nil && wanted.GetDeletionTimestamp() != nil ||
		wanted.GetDeletionTimestamp() != nil && !equality.Semantic.DeepEqual(old.GetDeletionGracePeriodSeconds(), wanted.GetDeletionGracePeriodSeconds()) {
		return w.remove(ctx, t, wanted.GetDeletionGracePeriodSeconds(), propagationOf(wanted))
	}
	if err := w.kind.Own(before, after); err != nil {
		return apierrors.NewForbidden(w.kind.Resource.GroupResource(), old.GetName(), fmt.Errorf("it runs in member %q: %w", t.member, err))
	}
	// Metadata the server sets itself is no change.
	wanted.SetResourceVersion(old.GetResourceVersion())
	wanted.SetGeneration(old.GetGeneration())
	return w.patch(ctx, t, before, after)
}

// keepMarks puts back the labels that are the fleet's, where somebody has replaced all
// labels by others, as to let a workload go of a Pod: they say where the object is, and
// what it was made from.
func keepMarks(before, after metav1.Object) {
	for _, mark := range []string{wellknown.LabelCluster, wellknown.LabelTemplate} {
		value, marked := before.GetLabels()[mark]
		if _, kept := after.GetLabels()[mark]; marked && !kept {
			after.SetLabels(withLabel(after.GetLabels(), mark, value))
		}
	}
}

// patch sends the difference between two states. It fails with a conflict when
// the object is not what it was any more.
func (w *writer) patch(ctx context.Context, t *target, before, after runtime.Object) error {
	from, err := json.Marshal(before)
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", w.kind.Kind, t.key, err)
	}
	to, err := json.Marshal(after)
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", w.kind.Kind, t.key, err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(from, to, w.kind.New())
	if err != nil {
		return fmt.Errorf("compare %s %q: %w", w.kind.Kind, t.key, err)
	}
	if string(patch) == "{}" {
		return nil
	}
	if t.version != 0 {
		if patch, err = withVersion(patch, t.version); err != nil {
			return fmt.Errorf("patch %s %q: %w", w.kind.Kind, t.key, err)
		}
	}
	request, err := t.client.request(ctx, http.MethodPatch, t.namespace, t.name, subresource(ctx))
	if err != nil {
		return err
	}
	answer, err := t.client.do(ctx, request.SetHeader("Content-Type", string(types.StrategicMergePatchType)).
		Param("fieldManager", fieldManager).Body(patch))
	if err != nil {
		return err
	}
	return w.learn(ctx, t, answer)
}

// withVersion adds the version a patch is made for.
func withVersion(patch []byte, version uint64) ([]byte, error) {
	content := map[string]any{}
	if err := json.Unmarshal(patch, &content); err != nil {
		return nil, err
	}
	metadata, ok := content["metadata"].(map[string]any)
	if !ok {
		metadata = map[string]any{}
		content["metadata"] = metadata
	}
	metadata["resourceVersion"] = fmt.Sprint(version)
	return json.Marshal(content)
}

// subresource is what of the object a request is about. An eviction notes its
// reason in the status before it deletes.
func subresource(ctx context.Context) string {
	info, ok := request.RequestInfoFrom(ctx)
	switch {
	case !ok:
		return ""
	case info.Subresource == "eviction":
		return "status"
	default:
		return info.Subresource
	}
}

// delete deletes the object in the member, at once.
func (w *writer) delete(
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions, validate storage.ValidateObjectFunc,
) error {
	t, err := w.target(key)
	if err != nil {
		return err
	}
	if err := preconditions.Check(key, t.object); err != nil {
		return err
	}
	if err := validate(ctx, t.object.DeepCopyObject()); err != nil {
		return err
	}
	if !w.spares(ctx) {
		if w.kind.ReadOnly {
			return w.refusal(t)
		}
		if err := w.confirm(ctx, t); err != nil {
			return err
		}
		if err := w.release(ctx, t); err != nil {
			return err
		}
		if err := w.remove(ctx, t, new(int64), metav1.DeletePropagationBackground); err != nil {
			return err
		}
	}
	return setValue(out, t.object.DeepCopyObject())
}

// release takes the finalizers away of an object that is deleted because its
// last one was removed.
func (w *writer) release(ctx context.Context, t *target) error {
	accessor, err := meta.Accessor(t.object)
	if err != nil || len(accessor.GetFinalizers()) == 0 {
		return err
	}
	request, err := t.client.request(ctx, http.MethodPatch, t.namespace, t.name, "")
	if err != nil {
		return err
	}
	patch := fmt.Appendf(nil, "{%q: {%q: %q, %q: null}}", "metadata", "uid", accessor.GetUID(), "finalizers")
	_, err = t.client.do(ctx, request.SetHeader("Content-Type", string(types.MergePatchType)).
		Param("fieldManager", fieldManager).Body(patch))
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// propagationOf is what is to become of what an object owns that is to be deleted, as
// registries note it in its finalizers.
func propagationOf(object metav1.Object) metav1.DeletionPropagation {
	switch {
	case slices.Contains(object.GetFinalizers(), metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(object.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	default:
		return metav1.DeletePropagationBackground
	}
}

// remove deletes the object in the member.
func (w *writer) remove(ctx context.Context, t *target, gracePeriodSeconds *int64, propagation metav1.DeletionPropagation) error {
	accessor, err := meta.Accessor(t.object)
	if err != nil {
		return err
	}
	uid := accessor.GetUID()
	options, err := json.Marshal(&metav1.DeleteOptions{
		TypeMeta:           metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		GracePeriodSeconds: gracePeriodSeconds,
		PropagationPolicy:  &propagation,
		Preconditions:      &metav1.Preconditions{UID: &uid},
	})
	if err != nil {
		return fmt.Errorf("encode options of deletion: %w", err)
	}
	request, err := t.client.request(ctx, http.MethodDelete, t.namespace, t.name, "")
	if err != nil {
		return err
	}
	answer, err := t.client.do(ctx, request.SetHeader("Content-Type", runtime.ContentTypeJSON).Body(options))
	switch {
	case apierrors.IsNotFound(err):
		w.union.remove(t.member, t.claimed, 0)
		return storage.NewKeyNotFoundError(t.key, 0)
	case err != nil:
		return err
	}
	if _, isStatus := answer.(*metav1.Status); isStatus {
		return nil // the watch tells
	}
	ended, err := meta.Accessor(answer)
	if err != nil || ended.GetDeletionTimestamp() == nil || gracePeriodSeconds != nil && *gracePeriodSeconds == 0 {
		return err // the last state of what is gone
	}
	return w.learn(ctx, t, answer)
}

// refresh reads the object from the member.
func (w *writer) refresh(ctx context.Context, t *target) error {
	answer, err := t.client.get(ctx, t.namespace, t.name)
	if apierrors.IsNotFound(err) {
		return storage.NewKeyNotFoundError(t.key, 0)
	}
	if err != nil {
		return err
	}
	return w.learn(ctx, t, answer)
}

// learn takes in what the member answered, before its watch tells.
func (w *writer) learn(ctx context.Context, t *target, answer runtime.Object) error {
	seen, shown, err := w.kind.observe(t.member, answer)
	if err != nil || !shown {
		return err
	}
	if err := w.reserve(ctx, 1); err != nil {
		return err
	}
	w.union.put(t.member, seen, true)
	return nil
}

// leavesMembers says whether the request is of the fleet's own controllers. These
// see to what is stored: what a member has is deleted, released and changed by the
// controllers there. Their requests succeed and do nothing.
func leavesMembers(ctx context.Context) bool {
	from, ok := request.UserFrom(ctx)
	return ok && from.GetName() == wellknown.UserControllerManager
}
