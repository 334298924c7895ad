// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placementpreview

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	clientcache "k8s.io/client-go/tools/cache"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
	"fleet.dev/fleet/pkg/interpreter/builtin"
	"fleet.dev/fleet/pkg/interpreter/store"
	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/pkg/scheduler/cache"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// idle is how long members and policies are watched after the last dry run.
const idle = 10 * time.Minute

// errNotRunning says that the server does not run yet, or not any more.
var errNotRunning = errors.New("the server is starting or stopping")

// Fleet is what previews are made from. Connect comes before everything else; it is
// safe for concurrent use then.
type Fleet struct {
	client fleetclient.Interface
	// wanted wakes Run up, and tells it that it is needed still.
	wanted chan struct{}

	mu   sync.Mutex
	view *view
}

// NewFleet returns a Fleet without a client.
func NewFleet() *Fleet { return &Fleet{wanted: make(chan struct{}, 1)} }

// Connect makes the Fleet read with a client of the server itself.
func (f *Fleet) Connect(client fleetclient.Interface) { f.client = client }

// view is members and policies, from when they are needed until they are not.
type view struct {
	informers       fleetinformers.SharedInformerFactory
	interpretations *store.Store // of custom resources
	interpreted     clientcache.InformerSynced
	synced          chan struct{} // closed when all is known
}

func newView(client fleetclient.Interface) (*view, error) {
	customizations, err := builtin.Customizations()
	if err != nil {
		return nil, err
	}
	interpretations := store.New(customizations)
	informers := fleetinformers.NewSharedInformerFactoryWithOptions(client, 0, fleetinformers.WithTransform(cache.Trim))
	informers.Cluster().V1alpha1().Clusters().Informer()
	policies := informers.Policy().V1alpha1()
	policies.PropagationPolicies().Informer()
	policies.ClusterPropagationPolicies().Informer()
	policies.OverridePolicies().Informer()
	policies.ClusterOverridePolicies().Informer()
	interpreted, err := interpretations.Follow(informers.Config().V1alpha1().ResourceInterpreterCustomizations().Informer())
	if err != nil {
		return nil, err
	}
	return &view{informers: informers, interpretations: interpretations, interpreted: interpreted, synced: make(chan struct{})}, nil
}

// Run watches what is needed, when it is, until ctx ends.
func (f *Fleet) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wanted:
			f.follow(ctx)
		}
	}
}

// follow watches until nobody asked for a while.
func (f *Fleet) follow(ctx context.Context) {
	view, err := f.current()
	if err != nil {
		return
	}
	defer f.forget()
	ctx, stop := context.WithCancel(ctx)
	defer view.informers.Shutdown()
	defer stop()
	view.informers.StartWithContext(ctx)
	var syncing sync.WaitGroup
	defer syncing.Wait()
	syncing.Go(func() {
		if view.informers.WaitForCacheSyncWithContext(ctx).AsError() == nil && clientcache.WaitForCacheSync(ctx.Done(), view.interpreted) {
			close(view.synced)
		}
	})
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-f.wanted:
			timer.Reset(idle)
		}
	}
}

// current is the view there is, a new one when there is none.
func (f *Fleet) current() (*view, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view == nil {
		made, err := newView(f.client)
		if err != nil {
			return nil, err
		}
		f.view = made
	}
	return f.view, nil
}

func (f *Fleet) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view = nil
}

// await returns the view once it knows all.
func (f *Fleet) await(ctx context.Context) (*view, error) {
	view, err := f.current()
	if err != nil {
		return nil, err
	}
	select {
	case f.wanted <- struct{}{}:
	default:
	}
	select {
	case <-view.synced:
		return view, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("load members and policies: %w", errors.Join(errNotRunning, ctx.Err()))
	}
}

// state is what a decision about a target is made from.
func (f *Fleet) state(ctx context.Context, t *target) (*scheduler.State, error) {
	view, err := f.await(ctx)
	if err != nil {
		return nil, err
	}
	kind := t.kind.Interpreted(view.interpretations.Interpreter())
	read, err := source.Read(kind, t.object)
	if err != nil {
		return nil, err
	}
	state := &scheduler.State{Template: read, Kind: kind}
	if err := view.fill(state); err != nil {
		return nil, err
	}
	return state, f.bindings(ctx, state)
}

// fill adds members and the policies that may be about the template.
func (v *view) fill(state *scheduler.State) error {
	var err error
	if state.Clusters, err = v.informers.Cluster().V1alpha1().Clusters().Lister().List(labels.Everything()); err != nil {
		return fmt.Errorf("list clusters: %w", err)
	}
	policies, namespace := v.informers.Policy().V1alpha1(), state.Template.Namespace
	wide, err := policies.ClusterPropagationPolicies().Lister().List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list cluster propagation policies: %w", err)
	}
	wideOverrides, err := policies.ClusterOverridePolicies().Lister().List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list cluster override policies: %w", err)
	}
	state.Propagations, state.Overrides = appendAll(state.Propagations, wide), appendAll(state.Overrides, wideOverrides)
	if namespace == "" {
		return nil
	}
	own, err := policies.PropagationPolicies().Lister().PropagationPolicies(namespace).List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list propagation policies: %w", err)
	}
	ownOverrides, err := policies.OverridePolicies().Lister().OverridePolicies(namespace).List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list override policies: %w", err)
	}
	state.Propagations, state.Overrides = appendAll(state.Propagations, own), appendAll(state.Overrides, ownOverrides)
	return nil
}

// appendAll appends objects as what they have in common.
func appendAll[I any, O any](to []I, objects []O) []I {
	for _, object := range objects {
		if common, ok := any(object).(I); ok {
			to = append(to, common)
		}
	}
	return to
}

// bindings adds where the namespace of the template has workloads, for a Namespace
// that of its own; and where the definition of its kind is.
func (f *Fleet) bindings(ctx context.Context, state *scheduler.State) error {
	t := state.Template
	namespace := t.Namespace
	if t.Kind.GroupKind() == namespaceKind.GroupKind() {
		namespace = t.Name
	}
	if namespace != "" {
		// What the watch cache has is recent enough, and is no load on etcd.
		bindings, err := f.client.WorkV1alpha1().ResourceBindings(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return fmt.Errorf("list bindings: %w", err)
		}
		for i := range bindings.Items {
			state.Bindings = append(state.Bindings, &bindings.Items[i])
		}
	}
	var wide []template.Key
	if t.Namespace == "" {
		wide = append(wide, t.Key())
	}
	if state.Kind.Custom {
		wide = append(wide, state.Kind.Definition())
	}
	for _, key := range wide {
		if err := f.wideBinding(ctx, key, state); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) wideBinding(ctx context.Context, of template.Key, state *scheduler.State) error {
	name := workv1alpha1.BindingNameForGroupKind(of.GroupKind(), of.Name)
	binding, err := f.client.WorkV1alpha1().ClusterResourceBindings().Get(ctx, name, metav1.GetOptions{ResourceVersion: "0"})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("get binding %q: %w", name, err)
	default:
		state.Bindings = append(state.Bindings, binding)
		return nil
	}
}
