// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// objectChanged has the work of an object looked at again when the object
// changed in the member: its status is to be reported, or a field of ours was
// changed and is to be put right. Which of them it is shows the look.
func (s *session) objectChanged(kind schema.GroupVersionKind, old, now *observed, version string) {
	object := now
	if object == nil {
		object = old
	}
	identity := target{kind: kind, namespace: object.Namespace, name: object.Name}.identity()
	s.owners.see(identity, old, now)
	if old == nil || now == nil || old.UID != now.UID || (old.DeletionTimestamp == nil) != (now.DeletionTimestamp == nil) {
		s.ownersChanged(identity)
	}
	s.mu.Lock()
	name, known := s.targets[identity]
	record := s.records[name]
	own := false
	switch {
	case !known || record == nil:
	case now == nil:
		record.vanished(old.UID, version)
	default:
		// What the last write returned was reported with it.
		own = record.applied != nil && record.applied.ResourceVersion == now.ResourceVersion
	}
	s.mu.Unlock()
	if known && !own {
		s.enqueue(name)
	}
}

// kindCompleted has the works of a kind looked at once its mirror is complete.
func (s *session) kindCompleted(kind schema.GroupVersionKind, _ *mirror[*observed]) {
	s.mirror.each(func(_ string, work *workv1alpha1.Work) {
		if targetOf(work).kind == kind {
			s.enqueueAs(work.Name, rankOf(kind.GroupKind()))
		}
	})
}

const (
	// maxDrift is how many fields a report names, maxDriftValue how many bytes of
	// each value.
	maxDrift      = 20
	maxDriftValue = 256
	// hidden stands for values that not everybody may see who sees the report.
	hidden = "(hidden)"
)

// drift returns what applying would change, field by field. Values are left out
// when they are secret.
func (d difference) drift(secret bool) []workv1alpha1.FieldDrift {
	var fields []workv1alpha1.FieldDrift
	add := func(path fieldpath.Path, dropped bool) {
		field := workv1alpha1.FieldDrift{Op: "replace", Path: path.String(), Value: valueAt(d.want, path), Observed: valueAt(d.have, path)}
		switch {
		case dropped:
			field.Op, field.Value = "remove", ""
		case field.Observed == "":
			field.Op = "add"
		}
		if secret {
			field.Value, field.Observed = hide(field.Value), hide(field.Observed)
		}
		fields = append(fields, field)
	}
	d.changed.Leaves().Iterate(func(path fieldpath.Path) { add(path.Copy(), false) })
	d.dropped.Leaves().Iterate(func(path fieldpath.Path) { add(path.Copy(), true) })
	slices.SortFunc(fields, func(a, b workv1alpha1.FieldDrift) int { return cmp.Compare(a.Path, b.Path) })
	return fields[:min(len(fields), maxDrift)]
}

func hide(value string) string {
	if value == "" {
		return ""
	}
	return hidden
}

// isSecret returns true for kinds whose content only their own readers may see.
func isSecret(t target) bool { return t.kind.Group == "" && t.kind.Kind == "Secret" }

// valueAt returns the value of a field as JSON, cut off, and "" when there is none.
func valueAt(object *typed.TypedValue, path fieldpath.Path) string {
	value := object.ExtractItems(fieldpath.NewSet(path)).AsValue().Unstructured()
	for _, element := range path {
		switch {
		case value == nil:
			return ""
		case element.FieldName != nil:
			fields, _ := value.(map[string]any)
			value = fields[*element.FieldName]
		default: // an item of a list, of which only this one was extracted
			items, _ := value.([]any)
			if len(items) == 0 {
				return ""
			}
			value = items[0]
		}
	}
	if value == nil {
		return ""
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	if len(raw) > maxDriftValue {
		return strings.ToValidUTF8(string(raw[:maxDriftValue]), "")
	}
	return string(raw)
}

// driftOf compares the object of a work that is not to be touched with what the work
// says. It is for information: what cannot be compared has no drift.
func (s *session) driftOf(ctx context.Context, work *workv1alpha1.Work, owners []metav1.OwnerReference, live *observed) []workv1alpha1.FieldDrift {
	desired, err := decodeDesired(work, s.fleetID)
	if err != nil {
		return nil
	}
	setOwners(desired, owners)
	if desired, err = s.retain(desired, live); err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	t := targetOf(work)
	schema, err := s.member.Schema(ctx, t.kind)
	if err != nil || spareRestart(schema, update, desired, live) != nil {
		return nil
	}
	if _, err := s.spareReplicas(t, desired, live); err != nil {
		return nil
	}
	diff, err := compare(schema, desired, live)
	if err != nil {
		return nil
	}
	diff.changed = withoutProvenance(diff.changed)
	return diff.drift(isSecret(t))
}

// withoutProvenance returns the paths that are not marks of the fleet: these say
// which work an object is from, and not what it is like.
func withoutProvenance(paths *fieldpath.Set) *fieldpath.Set {
	kept := fieldpath.NewSet()
	paths.Iterate(func(path fieldpath.Path) {
		if !isProvenance(path) {
			kept.Insert(path.Copy())
		}
	})
	return kept
}
