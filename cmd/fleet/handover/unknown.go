// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// pageSize is how many objects are listed at a time.
const pageSize = 500

// Unknown is an object of a member that carries the mark of the fleet and that no
// work is about.
type Unknown struct {
	Cluster         string
	Resource        schema.GroupVersionResource
	Kind            string
	Namespace, Name string
	Created         time.Time
	UID             types.UID
	ResourceVersion string
}

// String names the object for people.
func (u *Unknown) String() string {
	name := u.Name
	if u.Namespace != "" {
		name = u.Namespace + "/" + name
	}
	return u.Kind + " " + name
}

// identity is what a work and an object have in common.
type identity struct {
	kind            schema.GroupKind
	namespace, name string
}

// FindUnknown returns the objects of a member that the fleet of that id does not
// know, by kind and name. Works are read after the objects, so that what the fleet
// makes meanwhile is not among them.
func FindUnknown(ctx context.Context, fleet fleetclient.Interface, fleetID string, member *Member) ([]Unknown, error) {
	lists, err := discovery.ServerPreferredResources(member.Kinds)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("discover the kinds of member %q: %w", member.Name, err)
	}
	var found []Unknown
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists) {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("read what member %q serves: %w", member.Name, err)
		}
		for i := range list.APIResources {
			resource := &list.APIResources[i]
			marked, err := member.marked(ctx, gv.WithResource(resource.Name), resource.Kind, fleetID)
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
				return nil, fmt.Errorf("list %s of member %q: %w", resource.Name, member.Name, err)
			}
			found = append(found, marked...)
		}
	}
	known, err := worksOf(ctx, fleet, member.Name)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(u Unknown) bool { return known[u.identity()] })
	slices.SortFunc(found, func(a, b Unknown) int { return cmp.Compare(a.String(), b.String()) })
	return found, nil
}

func (u *Unknown) identity() identity {
	return identity{schema.GroupKind{Group: u.Resource.Group, Kind: u.Kind}, u.Namespace, u.Name}
}

// marked lists the objects of a resource with the mark of the fleet. One without the
// uid of a template got the mark from another object, or is a namespace in use.
func (m *Member) marked(ctx context.Context, resource schema.GroupVersionResource, kind, fleetID string) ([]Unknown, error) {
	var found []Unknown
	options := metav1.ListOptions{LabelSelector: wellknown.LabelManagedBy + "=" + fleetID, Limit: pageSize}
	for {
		list, err := m.Metadata.Resource(resource).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			object := &list.Items[i]
			if object.Annotations[wellknown.AnnotationTemplateUID] == "" || object.DeletionTimestamp != nil {
				continue
			}
			found = append(found, Unknown{
				Cluster: m.Name, Resource: resource, Kind: kind, Namespace: object.Namespace, Name: object.Name,
				Created: object.CreationTimestamp.Time, UID: object.UID, ResourceVersion: object.ResourceVersion,
			})
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return found, nil
		}
	}
}

// worksOf returns what the works of a member are about, tombstones included.
func worksOf(ctx context.Context, fleet fleetclient.Interface, cluster string) (map[identity]bool, error) {
	known := map[identity]bool{}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		works, err := fleet.WorkV1alpha1().Works(clusterv1alpha1.MemberNamespace(cluster)).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("list the works of member %q: %w", cluster, err)
		}
		for i := range works.Items {
			template := &works.Items[i].Spec.Template
			kind := schema.FromAPIVersionAndKind(template.APIVersion, template.Kind).GroupKind()
			known[identity{kind, template.Namespace, template.Name}] = true
		}
		if options.Continue = works.Continue; options.Continue == "" {
			return known, nil
		}
	}
}

// errChanged says that an object is not in the state that was shown.
var errChanged = errors.New("it changed since it was listed, and was left alone")

// Prune deletes an object in the state in which it was found. One that changed since,
// or that the fleet knows by now, is left alone.
func Prune(ctx context.Context, fleet fleetclient.Interface, member *Member, object *Unknown) error {
	known, err := worksOf(ctx, fleet, member.Name)
	if err != nil {
		return err
	}
	if known[object.identity()] {
		return fmt.Errorf("delete %s from member %q: the fleet knows it by now", object, member.Name)
	}
	background := metav1.DeletePropagationBackground
	objects := member.Objects.Resource(object.Resource)
	options := metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: &object.UID, ResourceVersion: &object.ResourceVersion},
		PropagationPolicy: &background,
	}
	if object.Namespace != "" {
		err = objects.Namespace(object.Namespace).Delete(ctx, object.Name, options)
	} else {
		err = objects.Delete(ctx, object.Name, options)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		return fmt.Errorf("delete %s from member %q: %w", object, member.Name, errChanged)
	case err != nil:
		return fmt.Errorf("delete %s from member %q: %w", object, member.Name, err)
	}
	return nil
}
