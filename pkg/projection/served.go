// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/warning"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// served is the Cacher of a kind as registries use it: it wakes members up for
// those who need them, says which do not answer, and refuses to go on from what
// another server said.
type served struct {
	storage.Interface

	surface *surface
	storage *unionStorage
}

// storedOnly selects what is not a member's.
var storedOnly = func() labels.Requirement {
	requirement, err := labels.NewRequirement(wellknown.LabelCluster, selection.DoesNotExist, nil)
	if err != nil {
		panic(err) // the requirement is constant
	}
	return *requirement
}()

// Get implements storage.Interface.
func (s *served) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	s.find(ctx, key)
	version, err := s.translate(ctx, opts.ResourceVersion)
	if err != nil {
		return err
	}
	opts.ResourceVersion = version
	err = s.Interface.Get(ctx, key, opts, out)
	if storage.IsNotFound(err) && leavesMembers(ctx) {
		return s.getSeen(ctx, key, opts, out)
	}
	return err
}

// getSeen reads an object that was not found once more, now that members were read. The
// garbage collector deletes what belongs to an object that is not found, and a member may
// have that. As long as one was not read, nothing is known.
func (s *served) getSeen(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	s.surface.need(ctx, nil)
	err := s.Interface.Get(ctx, key, opts, out)
	if unread := s.surface.unread(); storage.IsNotFound(err) && unread != "" {
		return apierrors.NewServiceUnavailable(fmt.Sprintf("%s of members are not known yet: %s", s.surface.kind.Resource.Resource, unread))
	}
	return err
}

// find waits for members that may have an object, or a copy of it, nobody has seen
// yet.
func (s *served) find(ctx context.Context, key string) {
	if seesStoredOnly(ctx) {
		return
	}
	key = s.storage.key(key)
	found, _, known := s.surface.union.find(key)
	if !known || found.member == "" && s.surface.kind.CopyOf != nil && !s.surface.union.hasCopy(key) {
		s.surface.need(ctx, nil)
	}
}

// findWritable is find for those who are to change the object.
func (s *served) findWritable(ctx context.Context, key string) {
	if !s.surface.kind.ReadOnly {
		s.find(ctx, key)
	}
}

// GetList implements storage.Interface.
func (s *served) GetList(ctx context.Context, key string, opts storage.ListOptions, list runtime.Object) error {
	if err := s.prepare(ctx, &opts); err != nil {
		return err
	}
	if err := s.Interface.GetList(ctx, key, opts, list); err != nil || !s.seesBare(ctx) {
		return err
	}
	return meta.EachListItem(list, func(object runtime.Object) error {
		s.surface.union.bare(object)
		return nil
	})
}

// Watch implements storage.Interface.
func (s *served) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	if version, err := s.Versioner().ParseResourceVersion(opts.ResourceVersion); err == nil && version > 0 &&
		(opts.SendInitialEvents == nil || !*opts.SendInitialEvents) {
		if err := s.storage.checkServer(version); err != nil {
			return nil, err
		}
	}
	if !seesStoredOnly(ctx) && wantsMembers(opts.Predicate.Label) {
		s.surface.hold(ctx)
	}
	if err := s.prepare(ctx, &opts); err != nil {
		return nil, err
	}
	events, err := s.Interface.Watch(ctx, key, opts)
	if err != nil || !s.seesBare(ctx) {
		return events, err
	}
	return watch.Filter(events, s.bare), nil
}

// seesBare says whether the request is to see stored objects without what their copies
// add. The scheduler decides by what users wrote: the node that they want a Pod on is
// not to be taken for the one it happens to run on, nor the other way round.
func (s *served) seesBare(ctx context.Context) bool {
	from, ok := request.UserFrom(ctx)
	return ok && from.GetName() == wellknown.UserScheduler && s.surface.kind.Bare != nil
}

// bare takes from an event what copies add to its object, which others share.
func (s *served) bare(event watch.Event) (watch.Event, bool) {
	if cached, ok := event.Object.(runtime.CacheableObject); ok {
		event.Object = cached.GetObject()
	}
	if _, isStatus := event.Object.(*metav1.Status); !isStatus {
		event.Object = shallowCopy(event.Object)
		s.surface.union.bare(event.Object)
	}
	return event, true
}

// Delete implements storage.Interface.
func (s *served) Delete( //nolint:revive // the arguments are those of storage.Interface
	ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions,
) error {
	s.findWritable(ctx, key)
	return s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
}

// GuaranteedUpdate implements storage.Interface.
func (s *served) GuaranteedUpdate( //nolint:revive // the arguments are those of storage.Interface
	ctx context.Context, key string, out runtime.Object, ignoreNotFound bool, preconditions *storage.Preconditions,
	update storage.UpdateFunc, cached runtime.Object,
) error {
	s.findWritable(ctx, key)
	return s.Interface.GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, update, cached)
}

// prepare makes a request for many objects one that the Cacher can answer.
func (s *served) prepare(ctx context.Context, opts *storage.ListOptions) error {
	if seesStoredOnly(ctx) {
		if opts.Predicate.Label == nil {
			opts.Predicate.Label = labels.Everything()
		}
		opts.Predicate.Label = opts.Predicate.Label.Add(storedOnly)
	}
	if wantsMembers(opts.Predicate.Label) {
		for _, text := range s.surface.need(ctx, opts.Predicate.Label) {
			warning.AddWarning(ctx, "", text)
		}
	}
	if opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact {
		version, err := s.Versioner().ParseResourceVersion(opts.ResourceVersion)
		if err != nil {
			return err
		}
		return s.storage.checkServer(version)
	}
	if opts.Predicate.Continue != "" {
		_, version, err := storage.DecodeContinue(opts.Predicate.Continue, s.storage.prefix)
		if err != nil {
			return apierrors.NewBadRequest(fmt.Sprintf("invalid continue token: %v", err))
		}
		if version > 0 {
			return s.storage.checkServer(uint64(version))
		}
		return nil
	}
	version, err := s.translate(ctx, opts.ResourceVersion)
	opts.ResourceVersion = version
	return err
}

// wantsMembers says whether a selector may select objects of members at all.
func wantsMembers(selector labels.Selector) bool {
	if selector == nil {
		return true
	}
	requirements, selectable := selector.Requirements()
	for _, requirement := range requirements {
		if requirement.Key() == wellknown.LabelCluster && requirement.Operator() == selection.DoesNotExist {
			return false
		}
	}
	return selectable
}

// translate makes a resource version that another server gave one of this server.
// Each saw the members by itself, so nothing but the latest is sure to be as new.
func (s *served) translate(ctx context.Context, resourceVersion string) (string, error) {
	version, err := s.Versioner().ParseResourceVersion(resourceVersion)
	if err != nil || version == 0 || s.storage.checkServer(version) == nil {
		return resourceVersion, err
	}
	return "", s.storage.waitNotOlderThan(ctx, resourceVersion, false)
}

// seesStoredOnly says whether the request is of the fleet itself, for which a
// member's objects are the member's own business: of the API server, whose informers
// would follow members for ever and in vain, or of its controllers. The one that
// deletes namespaces would else wait for Pods to go before it deletes what they are
// of. The scheduler asks for templates that are gone.
func seesStoredOnly(ctx context.Context) bool {
	from, ok := request.UserFrom(ctx)
	return !ok || from.GetName() == user.APIServerUser || from.GetName() == wellknown.UserScheduler || leavesMembers(ctx)
}
