// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	cacherstorage "k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// Resources the package knows by name.
var (
	worksResource           = workv1alpha1.Resource("works")
	bindingsResource        = workv1alpha1.Resource("resourcebindings")
	clusterBindingsResource = workv1alpha1.Resource("clusterresourcebindings")
	definitionsResource     = schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}
	namespacesResource      = schema.GroupResource{Resource: "namespaces"}
)

// Capture learns how the resources of an API server are stored. It is filled
// while API groups are installed and read by the Engine afterwards. Safe for
// concurrent use.
type Capture struct {
	schemes []*runtime.Scheme

	mu        sync.RWMutex
	resources map[schema.GroupResource]*resource
	kinds     map[schema.GroupKind]*resource
	custom    generic.RESTOptionsGetter
	engine    *Engine
}

// NewCapture returns an empty Capture. The schemes are those of the API servers
// whose RESTOptionsGetters are wrapped, each able to convert its internal types
// to external ones; of several that know a type the first is taken.
func NewCapture(schemes ...*runtime.Scheme) *Capture {
	return &Capture{
		schemes:   schemes,
		resources: map[schema.GroupResource]*resource{},
		kinds:     map[schema.GroupKind]*resource{},
	}
}

// Wrap returns a getter whose options make every storage that is created from
// them known here. The storage of works becomes that of the Engine; all others
// stay what the wrapped getter makes them.
func (c *Capture) Wrap(getter generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return &capturingGetter{capture: c, getter: getter}
}

// UseForCustomResources names the getter the API extensions server takes the
// options of custom resources from, so that custom resources can be read. It
// needs no wrapping: their storages come and go with their definitions and are
// created lazily, so the Engine reads definitions and custom resources itself.
func (c *Capture) UseForCustomResources(getter generic.RESTOptionsGetter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.custom = getter
}

type capturingGetter struct {
	capture *Capture
	getter  generic.RESTOptionsGetter
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g *capturingGetter) GetRESTOptions(groupResource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.getter.GetRESTOptions(groupResource, example)
	if err != nil {
		return options, err
	}
	options.Decorator = g.capture.decorator(options.Decorator)
	return options, nil
}

func (c *Capture) decorator(inner generic.StorageDecorator) generic.StorageDecorator {
	return func(
		config *storagebackend.ConfigForResource,
		resourcePrefix string,
		keyFunc func(obj runtime.Object) (string, error),
		newFunc func() runtime.Object,
		newListFunc func() runtime.Object,
		getAttrsFunc storage.AttrFunc,
		trigger storage.IndexerFuncs,
		indexers *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		if config.GroupResource == worksResource {
			return c.worksStorage(cacherstorage.Config{
				Versioner:           storage.APIObjectVersioner{},
				GroupResource:       config.GroupResource,
				EventsHistoryWindow: config.EventsHistoryWindow,
				ResourcePrefix:      resourcePrefix,
				KeyFunc:             keyFunc,
				NewFunc:             newFunc,
				NewListFunc:         newListFunc,
				GetAttrsFunc:        getAttrsFunc,
				IndexerFuncs:        trigger,
				Indexers:            indexers,
				Codec:               config.Codec,
			})
		}
		c.record(config, resourcePrefix, keyFunc, newFunc)
		return inner(config, resourcePrefix, keyFunc, newFunc, newListFunc, getAttrsFunc, trigger, indexers)
	}
}

// worksStorage is what generic registry's StorageWithCacher makes, over the
// Engine instead of etcd.
func (c *Capture) worksStorage(config cacherstorage.Config) (storage.Interface, factory.DestroyFunc, error) {
	c.mu.RLock()
	engine := c.engine
	c.mu.RUnlock()
	if engine == nil {
		return nil, nil, errors.New("create storage of works: NewEngine has to be called before API groups are installed")
	}
	config.Storage = engine.storage(config.ResourcePrefix, config.NewFunc)
	cacher, err := cacherstorage.NewCacherFromConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("create cacher of works: %w", err)
	}
	delegator := cacherstorage.NewCacheDelegator(cacher, config.Storage)
	destroy := sync.OnceFunc(func() {
		delegator.Stop()
		cacher.Stop()
	})
	return &worksCache{Interface: delegator, engine: engine}, destroy, nil
}

// record notes a resource. Types that no scheme knows, custom resources among
// them, are left out.
func (c *Capture) record(
	config *storagebackend.ConfigForResource,
	resourcePrefix string,
	keyFunc func(obj runtime.Object) (string, error),
	newFunc func() runtime.Object,
) {
	object := newFunc()
	scheme, kind, ok := c.kindOf(object, config.GroupResource.Group)
	if !ok {
		return
	}
	recorded := newResource(config, resourcePrefix)
	recorded.kind = kind
	recorded.scheme = scheme
	recorded.relativeKey = func(namespace, name string) (string, error) {
		object := newFunc()
		accessor, err := meta.Accessor(object)
		if err != nil {
			return "", fmt.Errorf("compute key of %s: %w", recorded.groupResource, err)
		}
		accessor.SetNamespace(namespace)
		accessor.SetName(name)
		return keyFunc(object)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resources[config.GroupResource] = recorded
	c.kinds[kind] = recorded
}

// kindOf finds the scheme and the kind of an internal object, preferring the
// group it is served in.
func (c *Capture) kindOf(object runtime.Object, group string) (*runtime.Scheme, schema.GroupKind, bool) {
	for _, scheme := range c.schemes {
		kinds, _, err := scheme.ObjectKinds(object)
		if err != nil {
			continue
		}
		for _, kind := range kinds {
			if kind.Group == group {
				return scheme, kind.GroupKind(), true
			}
		}
		return scheme, schema.GroupKind{Group: group, Kind: kinds[0].Kind}, true
	}
	return nil, schema.GroupKind{}, false
}

// resource returns a recorded resource, nil if it is none.
func (c *Capture) resource(groupResource schema.GroupResource) *resource {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.resources[groupResource]
}

// kind returns the recorded resource of a kind, nil if there is none.
func (c *Capture) kind(kind schema.GroupKind) *resource {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.kinds[kind]
}

// customResource describes a custom resource.
func (c *Capture) customResource(groupResource schema.GroupResource) (*resource, error) {
	c.mu.RLock()
	getter := c.custom
	c.mu.RUnlock()
	if getter == nil {
		return nil, fmt.Errorf("read %s: custom resources are not served", groupResource)
	}
	options, err := getter.GetRESTOptions(groupResource, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", groupResource, err)
	}
	prefix := "/" + strings.Trim(options.ResourcePrefix, "/")
	found := newResource(options.StorageConfig, prefix)
	found.relativeKey = func(namespace, name string) (string, error) {
		return path.Join(prefix, namespace, name), nil
	}
	return found, nil
}

// newResource fills in what does not depend on where the options come from.
func newResource(config *storagebackend.ConfigForResource, resourcePrefix string) *resource {
	transformer := config.Transformer
	if transformer == nil {
		transformer = identity.NewEncryptCheckTransformer()
	}
	root := path.Join("/", config.Prefix)
	return &resource{
		groupResource: config.GroupResource,
		root:          root,
		keyPrefix:     root + resourcePrefix + "/",
		transport:     config.Transport,
		codec:         config.Codec,
		transformer:   transformer,
	}
}

var _ value.Context = storageKey("")

// storageKey authenticates a stored value by its key, as etcd3's store does.
type storageKey string

// AuthenticatedData implements value.Context.
func (k storageKey) AuthenticatedData() []byte { return []byte(k) }
