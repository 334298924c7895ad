// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member"
)

const (
	// unknownPatience is how long objects with the mark of the fleet, in a namespace
	// that is to go, may have no work: the tombstones of what was in the namespace
	// may come after its own.
	unknownPatience = 5 * time.Minute
	// contentsPage is how many objects are listed at a time.
	contentsPage = 500
)

// removeNamespace deletes a namespace the fleet created, after the objects of the
// fleet in it are gone and if nobody else has put anything there. Deleting it would
// delete that, and what the fleet made but knows no more. Such a namespace is
// released and stays.
//
// What somebody creates between the look and the deletion goes with the namespace:
// Kubernetes has no way to delete one only if it is empty.
func (s *session) removeNamespace(ctx context.Context, resource member.Resource, record *record, live *observed) outcome {
	t := record.target
	waits, used := s.occupants.in(t.name)
	switch {
	case !s.mirror.hasSynced():
		return outcome{retry: soon}
	case waits > 0, used && record.attempts < quietAttempts:
		return s.awaitContents(record, live, fmt.Sprintf("%s waits for %d objects of the fleet in it to go", t, waits))
	case used && s.occupants.yield(t.name, record.order):
		// It was created anew in the fleet and has new objects. What was in the old one
		// has tombstones of its own.
		return outcome{reason: workv1alpha1.AppliedReasonSuccess, message: t.String() + " is in use again and stays", deleted: true}
	case !s.occupants.close(t.name):
		return outcome{retry: soon}
	}
	defer s.occupants.open(t.name)
	strangers, err := s.strangers(ctx, t.name)
	if err != nil {
		err = fmt.Errorf("look what is in %s of member %q: %w", t, s.cluster, err)
		if !spoke(err) {
			return s.awaitContents(record, live, err.Error())
		}
		return failed(err, live)
	}
	if len(strangers.all) == 0 {
		s.forgetNamespace(t.name)
		return s.remove(ctx, resource, record, live, nil)
	}
	if record.unknownSince.IsZero() {
		record.unknownSince = s.clock.Now()
	}
	if strangers.unknown && s.clock.Since(record.unknownSince) < unknownPatience {
		return s.awaitContents(record, live, fmt.Sprintf("%s has objects of the fleet that it does not know, %s", t, listed(strangers.all)))
	}
	o := s.release(ctx, resource, t, live)
	if o.deleted {
		o.reason = workv1alpha1.AppliedReasonNotEmpty
		o.message = fmt.Sprintf("%s was released and stays in the member: it has what the fleet did not put there or does not know, %s", t, listed(strangers.all))
	}
	return o
}

// awaitContents looks at a namespace again, and after a while says why.
func (s *session) awaitContents(record *record, live *observed, why string) outcome {
	o := outcome{retry: soon}
	if record.attempts >= quietAttempts {
		o.reason, o.message, o.object = workv1alpha1.AppliedReasonFailed, why, live
	}
	return o
}

// strangers are objects in a namespace that would be missed if it went, as "Kind
// name", sorted.
type strangers struct {
	all []string
	// unknown is true when some of them have the mark of the fleet.
	unknown bool
}

// errIncomplete says that a member may have objects of kinds it does not tell of now.
var errIncomplete = errors.New("the member does not say what it serves")

// strangers looks what is in a namespace of the member. It costs a list per kind.
func (s *session) strangers(ctx context.Context, namespace string) (strangers, error) {
	apis, err := s.member.Look()
	if err != nil {
		return strangers{}, err
	}
	if !apis.Complete() {
		return strangers{}, fmt.Errorf("%w of %s", errIncomplete, listed(apis.Incomplete()))
	}
	owns := func(owner metav1.OwnerReference) bool { return ownsNamespaced(apis, owner) }
	var found strangers
	for _, kind := range apis.Stored() {
		resource, _ := apis.Resource(kind)
		if !resource.Namespaced || derivedKinds[kind.GroupKind()] {
			continue
		}
		if err := s.eachIn(ctx, resource, namespace, func(object *metav1.PartialObjectMetadata) {
			if isStranger(kind.GroupKind(), object, owns) {
				found.all = append(found.all, kind.Kind+" "+object.Name)
				found.unknown = found.unknown || object.Labels[wellknown.LabelManagedBy] == s.fleetID
			}
		}); err != nil {
			return strangers{}, err
		}
	}
	slices.Sort(found.all)
	return found, nil
}

// eachIn lists the objects of a resource in a namespace, page by page.
func (s *session) eachIn(ctx context.Context, resource member.Resource, namespace string, visit func(*metav1.PartialObjectMetadata)) error {
	return s.each(ctx, resource, namespace, metav1.ListOptions{}, visit)
}

// each lists objects of a resource, of all namespaces when none is given.
func (s *session) each(ctx context.Context, resource member.Resource, namespace string, options metav1.ListOptions, visit func(*metav1.PartialObjectMetadata)) error {
	objects := metadata.ResourceInterface(s.member.Metadata().Resource(resource.GroupVersionResource))
	if namespace != "" {
		objects = s.member.Metadata().Resource(resource.GroupVersionResource).Namespace(namespace)
	}
	options.Limit = contentsPage
	for {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		list, err := objects.List(ctx, options)
		cancel()
		if apierrors.IsMethodNotSupported(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", resource.GroupResource(), err)
		}
		for i := range list.Items {
			visit(&list.Items[i])
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return nil
		}
	}
}

// derivedKinds are made from other objects, or tell of them: nobody misses them
// without those.
var derivedKinds = map[schema.GroupKind]bool{
	{Kind: "Event"}:                                    true,
	{Group: "events.k8s.io", Kind: "Event"}:            true,
	{Group: "coordination.k8s.io", Kind: "Lease"}:      true,
	{Kind: "Endpoints"}:                                true,
	{Group: "discovery.k8s.io", Kind: "EndpointSlice"}: true,
}

// everyNamespaceHas are objects Kubernetes, or a distribution of it, puts into every
// namespace.
var everyNamespaceHas = map[schema.GroupKind][]string{
	{Kind: "ServiceAccount"}: {"default", "builder", "deployer"},
	{Kind: "ConfigMap"}:      {"kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"},
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}: {"system:image-pullers", "system:image-builders", "system:deployers"},
}

// isStranger returns true for an object that would be missed if its namespace went.
// Those are all but what is on its way out, what every namespace has, and what
// belongs to another object in the namespace, which is looked at itself, or is gone,
// and then the member's garbage collector takes it. An object with the fleet's own
// mark is one the fleet does not know any more, since those it knows went before.
func isStranger(kind schema.GroupKind, object *metav1.PartialObjectMetadata, owns func(metav1.OwnerReference) bool) bool {
	switch {
	case object.DeletionTimestamp != nil, slices.Contains(everyNamespaceHas[kind], object.Name):
		return false
	case kind == schema.GroupKind{Kind: "Secret"} && slices.Contains(everyNamespaceHas[schema.GroupKind{Kind: "ServiceAccount"}], object.Annotations[corev1.ServiceAccountNameKey]):
		return false
	}
	return !slices.ContainsFunc(object.OwnerReferences, owns)
}

// ownsNamespaced returns true for an owner that is in the namespace of what it owns.
func ownsNamespaced(apis *member.APIs, owner metav1.OwnerReference) bool {
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	if err != nil {
		return false
	}
	kind, ok := apis.AnyVersion(gv.WithKind(owner.Kind).GroupKind())
	if !ok {
		return false
	}
	resource, _ := apis.Resource(kind)
	return resource.Namespaced
}
