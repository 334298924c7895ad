// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/interpreter/store"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// Handler learns of templates.
type Handler interface {
	// OnTemplate is called when a template was added (before is nil), changed or
	// deleted (after is nil).
	OnTemplate(before, after *template.Template)
	// OnListed is called when all templates of a kind have been told once.
	OnListed(kind schema.GroupKind)
	// OnUnserved is called when a kind that a CustomResourceDefinition defined is not
	// served any more. Its templates may have gone before anybody told.
	OnUnserved(kind schema.GroupKind)
}

// Config of a Source.
type Config struct {
	// REST config of the fleet.
	REST *rest.Config
	// HTTPClient shared with others.
	HTTPClient *http.Client
	// Handler that is told.
	Handler Handler
	// Clock for retries.
	Clock clock.Clock
	// Interpretations of custom kinds. Nil knows none.
	Interpretations Interpretations
	// Placed reports whether a template has a binding, also one that is gone itself.
	// Optional.
	Placed func(template.Key) bool
}

// Interpretations holds the customizations by which custom kinds are read.
type Interpretations interface {
	// Interpreter returns that of the moment.
	Interpreter() *interpreter.Interpreter
	// Listen has a listener told of changes.
	Listen(listener store.Listener)
}

// Source watches templates.
type Source struct {
	discovery discovery.ServerResourcesInterface
	metadata  metadata.Interface
	dynamic   dynamic.Interface
	readers   readers
	handler   Handler
	clock     clock.Clock
	trigger   chan struct{}

	interpretations Interpretations

	// aggregation is set when the Source runs.
	aggregation *aggregation

	// placed reports whether a template has a binding. Nil knows of none.
	placed func(template.Key) bool

	mu    sync.RWMutex
	kinds map[schema.GroupKind]*watched
	// defined are the kinds whose CustomResourceDefinition was seen.
	defined map[schema.GroupKind]bool
}

// Kind is a kind that is watched.
type Kind struct {
	template.Kind
	// Version of the kind that is read.
	Version schema.GroupVersionKind
	// Resource the kind is served as.
	Resource schema.GroupVersionResource
	// Namespaced is its scope.
	Namespaced bool
	// Custom says that a CustomResourceDefinition defines it.
	Custom bool
	// Versions are those that the fleet can bring objects to, besides that of Version;
	// the best first.
	Versions []string
}

// watched is a Kind with its informer.
type watched struct {
	Kind
	store  cache.Indexer
	listed func() bool
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// New returns a Source that watches nothing yet.
func New(config Config) (*Source, error) {
	discoveryClient, err := discovery.NewDiscoveryClientForConfigAndClient(config.REST, config.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("make discovery client: %w", err)
	}
	metadataClient, err := metadata.NewForConfigAndClient(config.REST, config.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("make metadata client: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfigAndClient(config.REST, config.HTTPClient)
	if err != nil {
		return nil, fmt.Errorf("make dynamic client: %w", err)
	}
	s := &Source{
		discovery: discoveryClient,
		metadata:  metadataClient,
		dynamic:   dynamicClient,
		readers:   readers{config: config.REST, client: config.HTTPClient},
		handler:   config.Handler,
		clock:     config.Clock,
		trigger:   make(chan struct{}, 1),
		kinds:     map[schema.GroupKind]*watched{},
		defined:   map[schema.GroupKind]bool{},
		placed:    config.Placed,

		interpretations: config.Interpretations,
	}
	if s.interpretations != nil {
		s.interpretations.Listen(store.Listener{Rules: template.Rules, Changed: func([]schema.GroupVersionKind) { s.Discover() }})
	}
	return s, nil
}

// interpreter returns that of the moment.
func (s *Source) interpreter() *interpreter.Interpreter {
	if s.interpretations == nil {
		return nil
	}
	return s.interpretations.Interpreter()
}

// discovery is repeated at these intervals after a change, until everything that
// is defined is served. A definition that never gets there is tried again with
// its next change.
var retries = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: 9, Cap: 30 * time.Second}

// settling is how long to wait for more changes after a first one.
const settling = 100 * time.Millisecond

// Run watches until ctx ends. started is called once all native kinds are listed.
func (s *Source) Run(ctx context.Context, started func()) {
	defer s.stopAll()
	s.aggregation = newAggregation(s.metadata, s.Discover)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.aggregation.controller.RunWithContext(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), s.aggregation.controller.HasSynced) {
		return
	}
	backoff := retries
	var again <-chan time.Time
	for announced := false; ; {
		settled := s.discover(ctx)
		if !announced && s.nativeListed(ctx) {
			announced = true
			started()
		}
		again = nil
		if !settled {
			again = s.retry(&backoff, announced)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.trigger:
			s.settle(ctx)
			backoff = retries
		case <-again:
		}
	}
}

// settle lets changes that come together be one.
func (s *Source) settle(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.clock.After(settling):
	}
	select {
	case <-s.trigger:
	default:
	}
}

// retry returns when to discover again. Before the start there is no giving up.
func (s *Source) retry(backoff *wait.Backoff, announced bool) <-chan time.Time {
	if backoff.Steps == 0 && announced {
		return nil
	}
	return s.clock.After(backoff.Step())
}

// Discover asks for another look at what there is to watch.
func (s *Source) Discover() {
	select {
	case s.trigger <- struct{}{}:
	default:
	}
}

// Kind returns a kind that is watched.
func (s *Source) Kind(kind schema.GroupKind) (Kind, bool) {
	w := s.watchedKind(kind)
	if w == nil {
		return Kind{}, false
	}
	return w.Kind, true
}

// Listed reports whether all templates of a kind are known.
func (s *Source) Listed(kind schema.GroupKind) bool {
	w := s.watchedKind(kind)
	return w != nil && w.listed()
}

// Get returns a template, nil when there is none.
func (s *Source) Get(key template.Key) *template.Template {
	w := s.watchedKind(key.GroupKind())
	if w == nil {
		return nil
	}
	return w.get(key.Namespace, key.Name)
}

func (w *watched) get(namespace, name string) *template.Template {
	object, exists, err := w.store.GetByKey(cache.ObjectName{Namespace: namespace, Name: name}.String())
	if err != nil || !exists {
		return nil
	}
	t, _ := object.(*template.Template)
	return t
}

// InNamespace returns the templates of a namespace, of all kinds.
func (s *Source) InNamespace(namespace string) []*template.Template {
	var out []*template.Template
	for _, w := range s.watchedKinds() {
		if w.Namespaced {
			out = append(out, w.inNamespace(namespace)...)
		}
	}
	return out
}

func (w *watched) inNamespace(namespace string) []*template.Template {
	objects, err := w.store.ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil
	}
	return templates(objects)
}

// Matching returns the templates that one of the selectors picks. It looks at
// templates of the kinds and namespaces the selectors name, at no others.
func (s *Source) Matching(selectors []policy.Selector) map[template.Key]*template.Template {
	out := map[template.Key]*template.Template{}
	for _, w := range s.watchedKinds() {
		for _, selector := range selectors {
			if !selector.MatchesKind(w.Version.Group, w.Version.Kind) {
				continue
			}
			for _, t := range w.candidates(selector) {
				if selector.Matches(t) {
					out[t.Key()] = t
				}
			}
		}
	}
	return out
}

func (w *watched) candidates(selector policy.Selector) []*template.Template {
	switch {
	case selector.Name != "" && (selector.Namespace != "" || !w.Namespaced):
		if t := w.get(selector.Namespace, selector.Name); t != nil {
			return []*template.Template{t}
		}
		return nil
	case selector.Namespace != "":
		return w.inNamespace(selector.Namespace)
	default:
		return templates(w.store.List())
	}
}

func templates(objects []any) []*template.Template {
	out := make([]*template.Template, 0, len(objects))
	for _, object := range objects {
		if t, ok := object.(*template.Template); ok {
			out = append(out, t)
		}
	}
	return out
}

func (s *Source) watchedKind(kind schema.GroupKind) *watched {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.kinds[kind]
}

func (s *Source) watchedKinds() []*watched {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*watched, 0, len(s.kinds))
	for _, w := range s.kinds {
		out = append(out, w)
	}
	return out
}

func (s *Source) nativeListed(ctx context.Context) bool {
	var listed []cache.InformerSynced
	for _, w := range s.watchedKinds() {
		if !w.Custom {
			listed = append(listed, w.listed)
		}
	}
	if len(listed) == 0 {
		return false
	}
	klog.FromContext(ctx).V(2).Info("Waiting for templates to be listed", "kinds", len(listed))
	return cache.WaitForCacheSync(ctx.Done(), listed...)
}

func (s *Source) stopAll() {
	for _, w := range s.watchedKinds() {
		w.stop()
	}
	for _, w := range s.watchedKinds() {
		w.done.Wait()
	}
}
