// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

//nolint:staticcheck // Endpoints are deprecated, and read by many.
package projection

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/v1/endpoints"
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// byEndpointSliceController is the value of discoveryv1.LabelManagedBy for slices of
// Services with a selector.
const byEndpointSliceController = "endpointslice-controller.k8s.io"

var serviceKind = schema.GroupKind{Kind: "Service"}

// EndpointSlices are those that members made for the fleet's Services: the label of what
// the fleet has in a member is copied from Services to their slices.
func EndpointSlices(templates Templates) Kind {
	return Kind{
		Resource:   discoveryv1.SchemeGroupVersion.WithResource("endpointslices"),
		Kind:       "EndpointSlice",
		Namespaced: true,
		ReadOnly:   true,
		Marked:     true,
		Selector:   discoveryv1.LabelServiceName + "," + discoveryv1.LabelManagedBy + "=" + byEndpointSliceController,
		References: templateReferences(templates),
		New:        func() runtime.Object { return &discoveryv1.EndpointSlice{} },
		NewList:    func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		Lost:       loseSlice,
		Project: func(member string, object runtime.Object) bool {
			slice, ok := object.(*discoveryv1.EndpointSlice)
			if !ok || isCopy(slice) {
				return false
			}
			if _, ok := templates.Template(member, serviceKind, slice.Namespace, slice.Labels[discoveryv1.LabelServiceName]); !ok {
				return false
			}
			delete(slice.Labels, wellknown.LabelManagedBy)
			for i := range slice.Endpoints {
				nameTarget(member, slice.Endpoints[i].NodeName, slice.Endpoints[i].TargetRef)
			}
			return true
		},
	}
}

// Endpoints are those that members made for the fleet's Services, of one Service all in
// one object.
func Endpoints(templates Templates) Kind {
	return Kind{
		Resource:   corev1.SchemeGroupVersion.WithResource("endpoints"),
		Kind:       "Endpoints",
		Namespaced: true,
		ReadOnly:   true,
		Marked:     true,
		New:        func() runtime.Object { return &corev1.Endpoints{} },
		NewList:    func() runtime.Object { return &corev1.EndpointsList{} },
		Merge:      mergeEndpoints,
		Lost:       loseEndpoints,
		Project: func(member string, object runtime.Object) bool {
			made, ok := object.(*corev1.Endpoints)
			if !ok || isCopy(made) {
				return false
			}
			if _, ok := templates.Template(member, serviceKind, made.Namespace, made.Name); !ok {
				return false
			}
			delete(made.Labels, wellknown.LabelManagedBy)
			for i := range made.Subsets {
				for _, addresses := range [][]corev1.EndpointAddress{made.Subsets[i].Addresses, made.Subsets[i].NotReadyAddresses} {
					for j := range addresses {
						nameTarget(member, addresses[j].NodeName, addresses[j].TargetRef)
					}
				}
			}
			return true
		},
	}
}

// isCopy says whether a member's object is a copy of a template, which is shown where it
// is stored. What controllers make has no such annotation, whatever labels they copy.
func isCopy(object metav1.Object) bool {
	return object.GetAnnotations()[wellknown.AnnotationTemplateUID] != ""
}

// nameTarget gives the fleet's name to the node of an endpoint, which may be nil like what
// is there.
func nameTarget(member string, node *string, target *corev1.ObjectReference) {
	if node != nil {
		*node = NodeName(member, *node)
	}
	if target != nil {
		target.ResourceVersion = ""
	}
}

// templateReferences shows owners that are the fleet's, with their uids there.
func templateReferences(templates Templates) func(string, metav1.Object, []metav1.OwnerReference) []metav1.OwnerReference {
	return func(member string, object metav1.Object, owners []metav1.OwnerReference) []metav1.OwnerReference {
		var shown []metav1.OwnerReference
		for i := range owners {
			kind := schema.FromAPIVersionAndKind(owners[i].APIVersion, owners[i].Kind).GroupKind()
			if uid, ok := templates.Template(member, kind, object.GetNamespace(), owners[i].Name); ok {
				owner := owners[i]
				owner.UID, owner.BlockOwnerDeletion = uid, nil
				shown = append(shown, owner)
			}
		}
		return shown
	}
}

// maxAddresses is how many addresses upstream has in Endpoints at most.
const maxAddresses = 1000

// mergeEndpoints lists all addresses, or as many as upstream would and an annotation that
// says so. The label that names the member is empty when there are several, all else is
// the first one's.
func mergeEndpoints(objects []runtime.Object) runtime.Object {
	merged, ok := shallowCopy(objects[0]).(*core.Endpoints)
	if !ok {
		return merged
	}
	all := &core.Endpoints{}
	truncated := false
	for _, object := range objects {
		if of, ok := object.(*core.Endpoints); ok {
			all.Subsets = append(all.Subsets, of.Subsets...)
			truncated = truncated || of.Annotations[corev1.EndpointsOverCapacity] != ""
		}
	}
	var over [2]bool
	all.Subsets, over[0] = truncate(all.Subsets)
	if len(objects) > 1 {
		merged.Labels = withLabel(merged.Labels, wellknown.LabelCluster, "")
		// To repack takes long with many addresses, and may count some twice.
		all.Subsets, over[1] = truncate(repack(all))
	}
	merged.Subsets = all.Subsets
	if truncated || over[0] || over[1] {
		merged.Annotations = withLabel(merged.Annotations, corev1.EndpointsOverCapacity, "truncated")
	}
	return merged
}

// truncate leaves out what is over capacity, as upstream's controller does: of each subset
// its share, rather addresses that are not ready.
func truncate(subsets []core.EndpointSubset) ([]core.EndpointSubset, bool) {
	ready, notReady := 0, 0
	for i := range subsets {
		ready += len(subsets[i].Addresses)
		notReady += len(subsets[i].NotReadyAddresses)
	}
	if ready+notReady <= maxAddresses {
		return subsets, false
	}
	shares := share{total: ready, capacity: maxAddresses}
	notReadyShares := share{total: notReady, capacity: max(0, maxAddresses-ready)}
	var left []core.EndpointSubset
	for i := range subsets {
		subset := subsets[i]
		subset.Addresses = shares.of(subset.Addresses)
		subset.NotReadyAddresses = notReadyShares.of(subset.NotReadyAddresses)
		if len(subset.Addresses)+len(subset.NotReadyAddresses) > 0 {
			left = append(left, subset)
		}
	}
	return left, true
}

// share divides a capacity.
type share struct{ total, capacity, given int }

// of returns as many of some addresses as are their share of the total, rounded up while
// there is capacity.
func (s *share) of(addresses []core.EndpointAddress) []core.EndpointAddress {
	if s.total <= s.capacity {
		return addresses
	}
	count := min((len(addresses)*s.capacity+s.total-1)/s.total, s.capacity-s.given)
	s.given += count
	return addresses[:count:count]
}

// repack returns the subsets in the layout that the API has, as upstream makes it. Should
// they not convert, they stay as they are.
func repack(of *core.Endpoints) []core.EndpointSubset {
	versioned := &corev1.Endpoints{}
	if err := legacyscheme.Scheme.Convert(of.DeepCopy(), versioned, nil); err != nil {
		return of.Subsets
	}
	versioned.Subsets = endpoints.RepackSubsets(versioned.Subsets)
	repacked := &core.Endpoints{}
	if err := legacyscheme.Scheme.Convert(versioned, repacked, nil); err != nil {
		return of.Subsets
	}
	return repacked.Subsets
}

// withLabel returns labels with one more, and leaves those given as they are.
func withLabel(labels map[string]string, label, value string) map[string]string {
	more := make(map[string]string, len(labels)+1)
	for known := range labels {
		more[known] = labels[known]
	}
	more[label] = value
	return more
}
