// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member"
)

// difference is what applying a desired object would change in an observed one.
// Fields that only the observed object has belong to others and are no
// difference.
type difference struct {
	// changed are fields the apply would add or give another value.
	changed *fieldpath.Set
	// dropped are fields we own that are no longer desired.
	dropped *fieldpath.Set
	// unowned is true when server-side apply holds nothing for us in that
	// apiVersion, so that fields could not be dropped later.
	unowned bool
	// ignored are fields the fleet applied, which server-side apply holds for it, and
	// which the object has not all the same: the member takes them and drops them.
	// They are among changed.
	ignored *fieldpath.Set
	// filled is true when all that differs are ignored fields, and values the
	// observed object has more in: a list or map that is one value to server-side
	// apply, and into which the member filled fields.
	filled bool
	// residue identifies the difference, by the fields and by what they are in
	// the observed object.
	residue uint64
	// want and have are the values compared.
	want, have *typed.TypedValue
}

// empty returns true when applying would change nothing.
func (d difference) empty() bool {
	return d.changed.Empty() && d.dropped.Empty() && !d.unowned
}

// neverOwned are the fields server-side apply keeps for nobody; see stripmeta.go
// of k8s.io/apimachinery/pkg/util/managedfields.
var neverOwned = fieldpath.NewSet(
	fieldpath.MakePathOrDie("apiVersion"),
	fieldpath.MakePathOrDie("kind"),
	fieldpath.MakePathOrDie("metadata"),
	fieldpath.MakePathOrDie("metadata", "name"),
	fieldpath.MakePathOrDie("metadata", "namespace"),
	fieldpath.MakePathOrDie("metadata", "creationTimestamp"),
	fieldpath.MakePathOrDie("metadata", "selfLink"),
	fieldpath.MakePathOrDie("metadata", "uid"),
	fieldpath.MakePathOrDie("metadata", "clusterName"),
	fieldpath.MakePathOrDie("metadata", "generation"),
	fieldpath.MakePathOrDie("metadata", "managedFields"),
	fieldpath.MakePathOrDie("metadata", "resourceVersion"),
)

// compare finds out what applying desired would change in live, by the member's
// schema.
func compare(schema *member.Schema, desired *unstructured.Unstructured, live *observed) (difference, error) {
	want, err := schema.Desired(desired)
	if err != nil {
		return difference{}, err
	}
	object, err := live.decode()
	if err != nil {
		return difference{}, err
	}
	have, err := schema.Observed(object)
	if err != nil {
		return difference{}, err
	}
	comparison, err := have.Compare(want)
	if err != nil {
		return difference{}, fmt.Errorf("compare %s %s with what is desired: %w", desired.GetKind(), desired.GetName(), err)
	}
	d := difference{changed: comparison.Added.Union(comparison.Modified), dropped: fieldpath.NewSet(), ignored: fieldpath.NewSet(), want: want, have: have}
	if d.unowned = live.owned == nil || live.ownedVersion != desired.GetAPIVersion(); !d.unowned {
		held := fieldpath.NewSet()
		if err := held.FromJSON(bytes.NewReader(live.owned)); err != nil {
			return difference{}, fmt.Errorf("decode owned fields: %w", err)
		}
		if d.dropped, err = noLongerDesired(want, held); err != nil {
			return difference{}, err
		}
		d.ignored = comparison.Added.Leaves().Intersection(held)
	}
	d.filled = !d.unowned && d.dropped.Empty() && filled(d.changed.Leaves().Difference(d.ignored), want, have)
	d.residue = residue(d, have)
	return d, nil
}

// filled returns true when at each of the paths the observed value has all that
// the desired one has.
func filled(paths *fieldpath.Set, want, have *typed.TypedValue) bool {
	all := true
	paths.Iterate(func(path fieldpath.Path) {
		only := fieldpath.NewSet(path.Copy())
		all = all && within(want.ExtractItems(only).AsValue().Unstructured(), have.ExtractItems(only).AsValue().Unstructured())
	})
	return all
}

// within returns true when outer is inner with more fields in its maps.
func within(inner, outer any) bool {
	switch inner := inner.(type) {
	case map[string]any:
		outer, ok := outer.(map[string]any)
		for key, value := range inner {
			ok = ok && within(value, outer[key])
		}
		return ok
	case []any:
		outer, ok := outer.([]any)
		if !ok || len(outer) != len(inner) {
			return false
		}
		for i := range inner {
			if !within(inner[i], outer[i]) {
				return false
			}
		}
		return true
	default:
		return reflect.DeepEqual(inner, outer)
	}
}

// noLongerDesired returns the fields held for us that want does not have.
func noLongerDesired(want *typed.TypedValue, held *fieldpath.Set) (*fieldpath.Set, error) {
	wanted, err := want.ToFieldSet()
	if err != nil {
		return nil, fmt.Errorf("list desired fields: %w", err)
	}
	return held.Difference(wanted).Difference(neverOwned), nil
}

// residue hashes a difference and the values it is about.
func residue(d difference, have *typed.TypedValue) uint64 {
	if d.empty() {
		return 0
	}
	var hash maphash.Hash
	hash.SetSeed(seed)
	for _, set := range []*fieldpath.Set{d.changed, d.dropped} {
		if raw, err := set.ToJSON(); err == nil {
			_, _ = hash.Write(raw)
		}
		_ = hash.WriteByte(0)
	}
	values := have.ExtractItems(d.changed.Union(d.dropped).Leaves()).AsValue().Unstructured()
	if raw, err := json.Marshal(values); err == nil {
		_, _ = hash.Write(raw)
	}
	if d.unowned {
		_ = hash.WriteByte(1)
	}
	return hash.Sum64()
}

// foreign returns the changes that reach beyond what the fleet marks objects
// with: adopting an object must not make any.
func (d difference) foreign() []string {
	var paths []string
	d.changed.Iterate(func(path fieldpath.Path) {
		if !isProvenance(path) {
			paths = append(paths, path.String())
		}
	})
	slices.Sort(paths)
	return paths
}

// emptyValues are values, as JSON, that say the same as no value at all. An API server
// leaves them out of what it stores.
var emptyValues = sets.New("", "null", "{}", "[]", `""`, "0", "false")

// lost returns the fields that the member ignores and that say something, sorted.
func (d difference) lost() []string {
	var paths []string
	if d.ignored == nil {
		return nil
	}
	d.ignored.Iterate(func(path fieldpath.Path) {
		if !emptyValues.Has(valueAt(d.want, path)) {
			paths = append(paths, path.String())
		}
	})
	slices.Sort(paths)
	return paths
}

// paths returns the fields of the difference, sorted.
func (d difference) paths() []string { return sortedPaths(d.changed.Union(d.dropped)) }

func sortedPaths(set *fieldpath.Set) []string {
	var paths []string
	set.Iterate(func(path fieldpath.Path) { paths = append(paths, path.String()) })
	slices.Sort(paths)
	return paths
}

// isProvenance returns true for labels and annotations of the fleet, on the
// object or in a Pod template.
func isProvenance(path fieldpath.Path) bool {
	for i := range path {
		name := path[i].FieldName
		if name == nil || *name != "metadata" {
			continue
		}
		rest := path[i+1:]
		if len(rest) == 0 {
			return true
		}
		if kind := rest[0].FieldName; kind == nil || *kind != "labels" && *kind != "annotations" {
			return false
		}
		return len(rest) == 1 || rest[1].FieldName != nil && strings.HasPrefix(*rest[1].FieldName, wellknown.Domain+"/")
	}
	return false
}
