// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/listwatch"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// apiServices change when groups come and go. They are no templates.
var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// start watches a kind, unless it is watched already.
func (s *Source) start(ctx context.Context, kind Kind) {
	if s.watchedKind(kind.Version.GroupKind()) != nil {
		return
	}
	lister, example, err := s.listerFor(kind)
	if err != nil {
		utilruntime.HandleErrorWithContext(ctx, err, "Watch templates", "kind", kind.Version)
		return
	}
	ctx, stop := context.WithCancel(ctx)
	w := &watched{Kind: kind, stop: stop}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: lister,
		ObjectType:    example,
		Handler:       s.eventHandler(kind),
		Indexers:      cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc},
		Transform:     transform(kind),
	})
	w.store, w.listed = store.(cache.Indexer), controller.HasSynced
	s.mu.Lock()
	s.kinds[kind.Version.GroupKind()] = w
	s.mu.Unlock()
	klog.FromContext(ctx).V(2).Info("Watching templates", "kind", kind.Version)
	w.done.Go(func() { controller.RunWithContext(ctx) })
	w.done.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
			s.handler.OnListed(kind.Version.GroupKind())
		}
	})
}

// eventHandler tells the handler, and looks again at what there is to watch when
// a definition changed.
func (s *Source) eventHandler(kind Kind) cache.ResourceEventHandler {
	tell := func(before, after any) {
		if kind.Version.GroupKind() == customResourceDefinition {
			s.Discover()
		}
		b, _ := before.(*template.Template)
		a, _ := after.(*template.Template)
		s.handler.OnTemplate(b, a)
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(added any) { tell(nil, added) },
		UpdateFunc: func(before, after any) { tell(before, after) },
		DeleteFunc: func(deleted any) {
			if unknown, ok := deleted.(cache.DeletedFinalStateUnknown); ok {
				deleted = unknown.Obj
			}
			tell(deleted, nil)
		},
	}
}

// transform reduces an object to its template. It may be given one that is
// reduced already.
func transform(kind Kind) cache.TransformFunc {
	return func(object any) (any, error) {
		switch o := object.(type) {
		case *template.Template:
			return o, nil
		case interface {
			metav1.Object
			runtime.Object
		}:
			var traits template.Traits
			if kind.Read != nil {
				traits = kind.Read(o)
			}
			return template.New(kind.Version, o, traits), nil
		default:
			return object, nil
		}
	}
}

// listerFor returns how to list and watch a kind, and an example of what comes.
func (s *Source) listerFor(kind Kind) (cache.ListerWatcher, runtime.Object, error) {
	selectors := template.SelectorsFor(kind.Version.GroupKind())
	switch {
	case kind.Read != nil && kind.Custom:
		return lister(s.dynamic.Resource(kind.Resource), selectors, s.dynamic), &unstructured.Unstructured{}, nil
	case kind.Read != nil:
		return s.readers.listerFor(kind)
	}
	return lister(s.metadata.Resource(kind.Resource), selectors, s.metadata), &metav1.PartialObjectMetadata{}, nil
}

func lister[List runtime.Object](client listwatch.Client[List], selectors metav1.ListOptions, from any) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(listwatch.Some(client, selectors), from)
}

// readers make clients for whole objects of native kinds.
type readers struct {
	config *rest.Config
	client *http.Client
}

func (r readers) listerFor(kind Kind) (cache.ListerWatcher, runtime.Object, error) {
	example, err := scheme.Scheme.New(kind.Version)
	if err != nil {
		return nil, nil, fmt.Errorf("read whole objects of %s: %w", kind.Version, err)
	}
	version := kind.Version.GroupVersion()
	config := rest.CopyConfig(r.config)
	config.GroupVersion = &version
	config.APIPath = "/apis"
	if version.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := rest.RESTClientForConfigAndClient(config, r.client)
	if err != nil {
		return nil, nil, fmt.Errorf("make client for %s: %w", version, err)
	}
	selectors := template.SelectorsFor(kind.Version.GroupKind())
	return cache.NewFilteredListWatchFromClient(client, kind.Resource.Resource, metav1.NamespaceAll, func(options *metav1.ListOptions) {
		options.LabelSelector, options.FieldSelector = selectors.LabelSelector, selectors.FieldSelector
	}), example, nil
}

// automanaged is the label of APIServices that the API server makes for what it
// serves itself, see k8s.io/kube-aggregator/pkg/controllers/autoregister.
const automanaged = "kube-aggregator.kubernetes.io/automanaged"

// aggregation knows which versions of groups other API servers serve. What those
// keep is in none of the fleet's hands: nothing can be rendered from it.
type aggregation struct {
	services   cache.Store
	controller cache.Controller
}

// newAggregation has changed called whenever a group comes or goes. It knows nothing
// before it runs.
func newAggregation(client metadata.Interface, changed func()) *aggregation {
	a := &aggregation{}
	a.services, a.controller = cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: lister(client.Resource(apiServices), metav1.ListOptions{}, client),
		ObjectType:    &metav1.PartialObjectMetadata{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { changed() },
			UpdateFunc: func(_, _ any) { changed() },
			DeleteFunc: func(any) { changed() },
		},
		Transform: func(object any) (any, error) {
			if meta, ok := object.(*metav1.PartialObjectMetadata); ok {
				meta.Annotations, meta.ManagedFields = nil, nil
			}
			return object, nil
		},
	})
	return a
}

// aggregated reports whether another API server serves a version of a group. Until
// its APIService is known it is taken for one of the fleet's own.
func (a *aggregation) aggregated(version schema.GroupVersion) bool {
	object, exists, err := a.services.GetByKey(version.Version + "." + version.Group)
	if err != nil || !exists {
		return false
	}
	service, ok := object.(*metav1.PartialObjectMetadata)
	return ok && service.Labels[automanaged] == ""
}
