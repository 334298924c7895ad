// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/render"
)

// Rendered is the object of a target in one member.
type Rendered struct {
	// Cluster is the name of the member.
	Cluster string
	// Manifest is the object, nil when there is none.
	Manifest map[string]any
	// Deleted says that the member is told to delete the object, and what it has of
	// the manifest names it only.
	Deleted bool
	// Err says why there is no manifest.
	Err error
}

// Render returns the object in each member of its binding, by name of the member.
func (f *Fleet) Render(ctx context.Context, target *Target) ([]Rendered, error) {
	if target.Binding == nil {
		return nil, nil
	}
	fleet, err := f.Objects.Resource(namespaces).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("find the id of the fleet: %w", err)
	}
	return rendered(string(fleet.GetUID()), target, target.Binding, f.versions(ctx, target))
}

// versions reads the object in the versions that members get it in. One that the fleet
// does not serve, though it can convert to it, nobody but the fleet can make.
func (f *Fleet) versions(ctx context.Context, target *Target) map[string]render.Version {
	out := map[string]render.Version{}
	for _, other := range target.Binding.GetSpec().Versions {
		resource := schema.FromAPIVersionAndKind(other.APIVersion, "").GroupVersion().WithResource(target.Kind.Resource.Resource)
		var version render.Version
		object, err := f.Objects.Resource(resource).Namespace(target.Object.GetNamespace()).Get(ctx, target.Object.GetName(), metav1.GetOptions{})
		if err == nil {
			version.Template, err = render.Prepare(object)
		}
		if err != nil {
			version.Err = fmt.Errorf("read %s in %s: %w", target, other.APIVersion, err)
		}
		out[other.APIVersion] = version
	}
	return out
}

func rendered(fleetID string, target *Target, binding workv1alpha1.Binding, versions map[string]render.Version) ([]Rendered, error) {
	prepared, err := render.Prepare(target.Object)
	if err != nil {
		return nil, err
	}
	prepared = prepared.WithVersions(versions)
	var out []Rendered
	for _, result := range render.Works(fleetID, prepared, binding) {
		one := Rendered{Cluster: result.Cluster, Err: result.Err}
		if result.Work != nil {
			one.Deleted = result.Work.Spec.Deleted
			if err := json.Unmarshal(result.Work.Spec.Workload.Manifests[0].Raw, &one.Manifest); err != nil {
				return nil, fmt.Errorf("read the object for %q: %w", result.Cluster, err)
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// Change is one field that differs from the object as it is carried unchanged.
type Change struct {
	// Path of the field.
	Path string
	// Was and Is are the values, nil when there is none.
	Was, Is any
}

// Changes returns what the binding of a target makes different in a member:
// replicas and overrides.
func Changes(target *Target, in Rendered) ([]Change, error) {
	plain := target.Binding.DeepCopyObject().(workv1alpha1.Binding)
	spec := plain.GetSpec()
	spec.Placement, spec.Overrides, spec.Versions, spec.Tombstones, spec.GracefulEvictionTasks = nil, nil, nil, nil, nil
	spec.Clusters = []workv1alpha1.TargetCluster{{Name: in.Cluster}}
	unchanged, err := rendered("", target, plain, nil)
	if err != nil {
		return nil, err
	}
	for _, base := range unchanged {
		if base.Cluster == in.Cluster && base.Err == nil {
			return differences("", withoutProvenance(base.Manifest), withoutProvenance(in.Manifest)), nil
		}
	}
	return nil, nil
}

// withoutProvenance drops what every object in a member carries.
func withoutProvenance(manifest map[string]any) map[string]any {
	metadata, _ := manifest["metadata"].(map[string]any)
	for _, field := range []string{"labels", "annotations"} {
		of, _ := metadata[field].(map[string]any)
		for _, key := range provenance {
			delete(of, key)
		}
		if len(of) == 0 {
			delete(metadata, field)
		}
	}
	return manifest
}

// Differences returns the fields in which two objects differ, by path.
func Differences(was, is map[string]any) []Change { return differences("", was, is) }

func differences(path string, was, is any) []Change {
	switch w := was.(type) {
	case map[string]any:
		if i, ok := is.(map[string]any); ok {
			return inMaps(path, w, i)
		}
	case []any:
		if i, ok := is.([]any); ok && len(i) == len(w) {
			var out []Change
			for n := range w {
				out = append(out, differences(fmt.Sprintf("%s[%d]", path, n), w[n], i[n])...)
			}
			return out
		}
	}
	if reflect.DeepEqual(was, is) {
		return nil
	}
	return []Change{{Path: path, Was: was, Is: is}}
}

func inMaps(path string, was, is map[string]any) []Change {
	var out []Change
	for _, key := range sets.List(sets.KeySet(was).Union(sets.KeySet(is))) {
		at := key
		if path != "" {
			at = path + "." + key
		}
		out = append(out, differences(at, was[key], is[key])...)
	}
	return out
}

// Of returns what was rendered for one member, false when it has nothing of it.
func Of(all []Rendered, cluster string) (Rendered, bool) {
	i := slices.IndexFunc(all, func(r Rendered) bool { return r.Cluster == cluster })
	if i < 0 {
		return Rendered{}, false
	}
	return all[i], true
}
