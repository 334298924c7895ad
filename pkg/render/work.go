// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/health"
)

// Result is what one member gets: a work, none, or the error that kept it from
// being rendered.
type Result struct {
	// Cluster is the name of the member.
	Cluster string
	// Work is the rendered work, without a resource version. Nil when there is
	// none, because of Err or because there is no template.
	Work *workv1alpha1.Work
	// Err says why there is no work, for example an override that does not
	// apply to the template.
	Err error
}

// Works renders the works of all members of a binding, sorted by member.
//
// The template is nil when it does not exist. Then, and when it is another
// object than the one decided upon (its uid is not spec.resource.uid), only
// tombstones are rendered and other members get none: what runs there goes on
// running, because a syncer deletes on a tombstone alone.
//
// Members whose manifests are the same share the bytes; callers must not change
// them.
func Works(fleetID string, template *Template, binding workv1alpha1.Binding) []Result {
	spec := binding.GetSpec()
	manifests := map[variant]manifestResult{}
	var results []Result
	for _, target := range targets(spec) {
		result := Result{Cluster: target.cluster}
		switch {
		case target.tombstone != nil:
			result.Work, result.Err = tombstone(fleetID, template, binding, target.tombstone)
		case !template.isOf(spec): // none
		default:
			result.Work, result.Err = memberWork(fleetID, template, binding, target, manifests)
		}
		results = append(results, result)
	}
	return results
}

// memberWork renders the work of a member, with a manifest of those made already if its
// is the same.
func memberWork(fleetID string, template *Template, binding workv1alpha1.Binding, target target, manifests map[variant]manifestResult) (*workv1alpha1.Work, error) {
	spec := binding.GetSpec()
	template, version, err := template.forMember(spec, target.cluster)
	if err != nil {
		return nil, err
	}
	key := variantOf(template, spec, target)
	key.version = version
	made, ok := manifests[key]
	if !ok {
		made = newManifest(fleetID, template, binding, key, target)
		manifests[key] = made
	}
	if made.err != nil {
		return nil, made.err
	}
	return newWork(fleetID, template, binding, target, made), nil
}

// Work renders the work of one member. It returns nil without an error when the
// binding has none for it, see Works.
func Work(fleetID string, template *Template, binding workv1alpha1.Binding, cluster string) (*workv1alpha1.Work, error) {
	for _, result := range Works(fleetID, template, binding) {
		if result.Cluster == cluster {
			return result.Work, result.Err
		}
	}
	return nil, nil
}

// target is a member of a binding and why it is one.
type target struct {
	cluster   string
	entry     *workv1alpha1.TargetCluster // of spec.clusters
	evictions []*workv1alpha1.GracefulEvictionTask
	tombstone *workv1alpha1.Tombstone
}

// targets returns the members that get a work, sorted by name: those decided
// upon, those that keep serving until they are evicted, those that bindings
// depending on this one go to, and those with a tombstone. The first tombstone
// of a member goes before everything else, also before a later decision for the
// same member.
func targets(spec *workv1alpha1.BindingSpec) []target {
	byName := map[string]*target{}
	at := func(cluster string) *target {
		if byName[cluster] == nil {
			byName[cluster] = &target{cluster: cluster}
		}
		return byName[cluster]
	}
	for i := range spec.Clusters {
		at(spec.Clusters[i].Name).entry = &spec.Clusters[i]
	}
	for i := range spec.GracefulEvictionTasks {
		t := at(spec.GracefulEvictionTasks[i].FromCluster)
		t.evictions = append(t.evictions, &spec.GracefulEvictionTasks[i])
	}
	for i := range spec.RequiredBy {
		for j := range spec.RequiredBy[i].Clusters {
			at(spec.RequiredBy[i].Clusters[j].Name)
		}
	}
	for i := range spec.Tombstones {
		if t := at(spec.Tombstones[i].ClusterName); t.tombstone == nil {
			t.tombstone = &spec.Tombstones[i]
		}
	}
	sorted := make([]target, 0, len(byName))
	for _, t := range byName {
		sorted = append(sorted, *t)
	}
	slices.SortFunc(sorted, func(a, b target) int { return cmp.Compare(a.cluster, b.cluster) })
	return sorted
}

// newWork puts a manifest into the work of a member.
func newWork(fleetID string, template *Template, binding workv1alpha1.Binding, target target, made manifestResult) *workv1alpha1.Work {
	work := emptyWork(fleetID, binding, target.cluster)
	work.Spec.Template.APIVersion = template.apiVersion()
	work.Spec.Template.UID = template.uid
	work.Spec.Template.Generation = template.generation
	work.Spec.Finished = finished(template, binding.GetStatus(), target.cluster)
	setManifest(work, made.raw, made.hash)
	return work
}

// Trim drops from a binding what no work is rendered from: of its status, all but the
// reports of members in which the object ran to its end. The binding is changed.
func Trim(binding workv1alpha1.Binding) {
	binding.SetManagedFields(nil)
	binding.SetAnnotations(nil)
	kind, status := binding.GetSpec().Resource.GroupKind(), binding.GetStatus()
	var kept []workv1alpha1.AggregatedStatusItem
	for i := range status.AggregatedStatus {
		if item := &status.AggregatedStatus[i]; item.Status != nil && health.Finished(kind, item.Status.Raw) {
			kept = append(kept, workv1alpha1.AggregatedStatusItem{ClusterName: item.ClusterName, TemplateUID: item.TemplateUID, Status: item.Status})
		}
	}
	*status = workv1alpha1.BindingStatus{AggregatedStatus: kept}
}

// finished returns true when the member reported that what the template made there ran to
// its end.
func finished(template *Template, status *workv1alpha1.BindingStatus, cluster string) bool {
	for i := range status.AggregatedStatus {
		item := &status.AggregatedStatus[i]
		if item.ClusterName == cluster && item.TemplateUID == template.uid && item.Status != nil {
			return health.Finished(template.kind, item.Status.Raw)
		}
	}
	return false
}

// tombstone renders the order to delete, or release, the object of a template
// that may be long gone: the manifest only names it. Whether the object stays was
// decided when the tombstone was made; the binding may preserve something else now. A
// Pod that is still there says how long it may take to end.
func tombstone(fleetID string, template *Template, binding workv1alpha1.Binding, of *workv1alpha1.Tombstone) (*workv1alpha1.Work, error) {
	work := emptyWork(fleetID, binding, of.ClusterName)
	work.Spec.Template.UID = of.UID
	work.Spec.Deleted = true
	work.Spec.Orphan = of.Orphan
	work.Spec.PreserveResourcesOnDeletion = nil
	resource := binding.GetSpec().Resource
	metadata := map[string]any{"name": resource.Name}
	if resource.Namespace != "" {
		metadata["namespace"] = resource.Namespace
	}
	if template != nil && template.uid == of.UID && template.grace != nil {
		metadata["deletionGracePeriodSeconds"] = *template.grace
	}
	raw, hash, err := encode(map[string]any{
		"apiVersion": resource.APIVersion, "kind": resource.Kind, "metadata": metadata,
	})
	if err != nil {
		return nil, err
	}
	setManifest(work, raw, hash)
	return work, nil
}

func setManifest(work *workv1alpha1.Work, raw []byte, hash string) {
	work.Spec.Workload.Manifests = []runtime.RawExtension{{Raw: raw}}
	work.Spec.ContentHash = hash
}

// emptyWork is all of a work that does not depend on the manifest.
func emptyWork(fleetID string, binding workv1alpha1.Binding, cluster string) *workv1alpha1.Work {
	spec := binding.GetSpec()
	return &workv1alpha1.Work{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:         clusterv1alpha1.MemberNamespace(cluster),
			Name:              workv1alpha1.WorkName(binding.GetNamespace(), binding.GetName()),
			UID:               workUID(fleetID, cluster, binding.GetUID()),
			CreationTimestamp: binding.GetCreationTimestamp(),
			Labels: map[string]string{
				wellknown.LabelTemplateKind:      spec.Resource.Kind,
				wellknown.LabelTemplateNamespace: spec.Resource.Namespace,
				wellknown.LabelTemplateName:      labelValue(spec.Resource.Name),
			},
		},
		Spec: workv1alpha1.WorkSpec{
			SuspendDispatching:          suspended(spec.Suspension, cluster),
			PreserveResourcesOnDeletion: copied(spec.PreserveResourcesOnDeletion),
			ConflictResolution:          cmp.Or(spec.ConflictResolution, policyv1alpha1.ConflictIfNoDiff),
			RecreatePolicy:              spec.RecreatePolicy,
			Template: workv1alpha1.TemplateReference{
				APIVersion: spec.Resource.APIVersion,
				Kind:       spec.Resource.Kind,
				Namespace:  spec.Resource.Namespace,
				Name:       spec.Resource.Name,
			},
			Binding: workv1alpha1.BindingReference{
				Namespace:  binding.GetNamespace(),
				Name:       binding.GetName(),
				UID:        binding.GetUID(),
				Generation: binding.GetGeneration(),
			},
		},
	}
}

// workUID is stable for the life of the binding and differs per member.
func workUID(fleetID, cluster string, binding types.UID) types.UID {
	name := fmt.Sprintf("%s/%s/%s", fleetID, cluster, binding)
	return types.UID(uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String())
}

// labelValue returns the name, or a hash of it when it is no valid label value.
func labelValue(name string) string {
	if len(validation.IsValidLabelValue(name)) == 0 {
		return name
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("%08x", h.Sum32())
}

// suspended returns true, or nil when nothing holds the member's changes back.
func suspended(suspension *workv1alpha1.Suspension, cluster string) *bool {
	if suspension == nil {
		return nil
	}
	on := suspension.DispatchingOnClusters
	if ptr.Deref(suspension.Dispatching, false) || on != nil && slices.Contains(on.ClusterNames, cluster) {
		return new(true)
	}
	return nil
}

func copied(value *bool) *bool {
	if value == nil {
		return nil
	}
	return new(*value)
}
