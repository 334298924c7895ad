// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/storage"
	etcdfeature "k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/work"
	"fleet.dev/fleet/pkg/derived/ledger"
)

// Options of an Engine.
type Options struct {
	// FleetID is stamped on members' objects. Empty means the uid of the
	// namespace kube-system, which the engine waits for.
	FleetID string
	// Clock times retries and measurements. Nil means the real one.
	Clock clock.WithTicker
	// OnErrors, if set, is called whenever the errors of a binding changed, with
	// none when the last one is gone. It is called by the goroutine that renders
	// and must return at once.
	OnErrors func(ctx context.Context, errs BindingErrors)
	// OnChange, if set, is called for each binding whose works changed, for each
	// without works that was looked at, and for all when everything was read
	// again: what follows from a binding may be due although no member reports. It
	// is called by the goroutine that renders and must return at once.
	OnChange func(binding types.NamespacedName)
}

// BindingErrors says why works of a binding are not what they should be. Each of
// them is as it was before, or missing if it never was.
type BindingErrors struct {
	// Namespace and Name of the binding; no namespace for a
	// ClusterResourceBinding.
	Namespace, Name string
	// UID of the binding.
	UID types.UID
	// ByCluster holds the error for each member that has one. The empty name
	// stands for all members: the template cannot be read.
	ByCluster map[string]error
}

// Engine keeps the works of a fleet up to date with what is in etcd and serves
// them. Create it with NewEngine before API groups are installed, run it after.
type Engine struct {
	capture *Capture
	options Options
	ledger  *ledger.Ledger[*work.Work]

	mu     sync.RWMutex
	etcd   *connection
	errors map[types.NamespacedName]BindingErrors

	connected chan struct{} // closed once etcd is set
	suspected chan struct{} // receives when etcd may have been restored
}

// connection is the etcd the engine follows.
type connection struct {
	client *clientv3.Client
	prefix string // of all keys
}

// NewEngine returns an Engine that is not running yet and makes it the source of
// works for the API groups the Capture is used for.
func NewEngine(capture *Capture, options Options) *Engine {
	registerMetrics()
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	engine := &Engine{
		capture:   capture,
		options:   options,
		ledger:    ledger.New(size),
		errors:    map[types.NamespacedName]BindingErrors{},
		connected: make(chan struct{}),
		suspected: make(chan struct{}, 1),
	}
	capture.mu.Lock()
	defer capture.mu.Unlock()
	capture.engine = engine
	return engine
}

// ErrNotReady is returned by Ready until everything has been read once.
var ErrNotReady = errors.New("works are not loaded yet")

// Ready returns nil once works are served, for a readiness check.
func (e *Engine) Ready() error {
	position, _, err := e.ledger.State()
	if err == nil && position == 0 {
		return ErrNotReady
	}
	return err
}

// Errors returns why works of a binding are not what they should be, and false
// when they are.
func (e *Engine) Errors(binding types.NamespacedName) (BindingErrors, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	found, ok := e.errors[binding]
	return found, ok
}

// Get returns a work as it is now in this process, without asking etcd. The work
// must not be changed.
func (e *Engine) Get(namespace, name string) (*work.Work, bool) {
	found, _ := e.ledger.Get(namespace + "/" + name)
	if found == nil {
		return nil, false
	}
	return found.Object, true
}

// Bindings returns those that the works in a member's namespace are rendered from, as
// they are now in this process.
func (e *Engine) Bindings(namespace string) []types.NamespacedName {
	works, _ := e.ledger.Snapshot()
	prefix := namespace + "/"
	var found []types.NamespacedName
	for _, entry := range ledger.Collect(works, prefix, prefix, true) {
		binding := entry.Object.Spec.Binding
		found = append(found, types.NamespacedName{Namespace: binding.Namespace, Name: binding.Name})
	}
	return found
}

// storage returns the storage.Interface for a registry of works.
func (e *Engine) storage(resourcePrefix string, newFunc func() runtime.Object) storage.Interface {
	return &worksStorage{engine: e, prefix: resourcePrefix, newFunc: newFunc}
}

// Run follows etcd until the context ends, and retries whatever fails. It is
// called once, after all API groups are installed; it fails at once when the
// resources it needs are not among them.
func (e *Engine) Run(ctx context.Context) error {
	defer e.ledger.Stop()
	bindings := e.capture.resource(bindingsResource)
	if bindings == nil || e.capture.resource(clusterBindingsResource) == nil {
		return fmt.Errorf("run engine: %s and %s have to be installed", bindingsResource, clusterBindingsResource)
	}
	client, err := newClient(bindings.transport)
	if err != nil {
		return fmt.Errorf("run engine: %w", err)
	}
	defer client.Close() //nolint:errcheck // nothing is left to be lost
	etcdfeature.DefaultFeatureSupportChecker.CheckClient(ctx, client, storage.RequestWatchProgress)
	e.connect(&connection{client: client, prefix: bindings.root + "/"})

	backoff := e.newBackoff()
	for ctx.Err() == nil {
		started := e.options.Clock.Now()
		err := e.loadAndFollow(ctx)
		if ctx.Err() != nil {
			break
		}
		klog.FromContext(ctx).Error(err, "Works are to be read from etcd anew")
		if e.options.Clock.Since(started) > time.Minute {
			backoff = e.newBackoff()
		}
		e.pause(ctx, backoff.Step())
	}
	return nil
}

func (e *Engine) connect(to *connection) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.etcd = to
	close(e.connected)
}

// connection waits for Run to have connected.
func (e *Engine) connection(ctx context.Context) (*connection, error) {
	select {
	case <-e.connected:
		e.mu.RLock()
		defer e.mu.RUnlock()
		return e.etcd, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *Engine) newBackoff() *wait.Backoff {
	return &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 8, Cap: 10 * time.Second}
}

// pause waits, less when the context ends.
func (e *Engine) pause(ctx context.Context, duration time.Duration) {
	timer := e.options.Clock.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
}

// loadAndFollow reads everything and follows what changes. It returns when
// everything has to be read again.
func (e *Engine) loadAndFollow(ctx context.Context) error {
	fleetID, err := e.fleetID(ctx)
	if err != nil {
		return err
	}
	r := &renderer{engine: e, fleetID: fleetID, state: newState(e.capture)}
	revision, err := r.load(ctx)
	if err != nil {
		return err
	}
	backoff := e.newBackoff()
	for {
		followed, err := r.follow(ctx, revision)
		if mustReload(err) || ctx.Err() != nil {
			return err
		}
		watchRestartsTotal.Inc()
		klog.FromContext(ctx).Error(err, "Watch of etcd ended, resuming", "revision", followed)
		if followed > revision {
			backoff = e.newBackoff()
		}
		revision = followed
		if err := e.resume(ctx, r.followed, backoff); err != nil {
			return err
		}
	}
}

// resume waits until etcd answers that it was not restored. It fails when it was.
func (e *Engine) resume(ctx context.Context, followed mark, backoff *wait.Backoff) error {
	for {
		e.pause(ctx, backoff.Step())
		err := e.checkNotRestored(ctx, followed)
		if err == nil || mustReload(err) || ctx.Err() != nil {
			return err
		}
		klog.FromContext(ctx).Error(err, "Cannot resume the watch of etcd yet", "revision", followed.revision)
	}
}

// fleetID is the uid of kube-system, or what the options say.
func (e *Engine) fleetID(ctx context.Context) (string, error) {
	if e.options.FleetID != "" {
		return e.options.FleetID, nil
	}
	namespaces := e.capture.resource(namespacesResource)
	if namespaces == nil {
		return "", errors.New("find fleet id: namespaces are not served")
	}
	key, err := namespaces.key("", "kube-system")
	if err != nil {
		return "", err
	}
	for {
		response, err := e.etcd.client.Get(ctx, key)
		if err != nil {
			return "", fmt.Errorf("find fleet id: %w", err)
		}
		if len(response.Kvs) == 1 {
			return uidOf(ctx, namespaces, key, response.Kvs[0].Value)
		}
		if err := e.waitForKey(ctx, key, response.Header.Revision); err != nil {
			return "", fmt.Errorf("wait for namespace kube-system: %w", err)
		}
	}
}

func (e *Engine) waitForKey(ctx context.Context, key string, revision int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	response, ok := <-e.etcd.client.Watch(watchContext(ctx), key, clientv3.WithRev(revision+1))
	if !ok {
		return ctx.Err()
	}
	return response.Err()
}

// report remembers, and tells, the errors of a binding. Only the goroutine that
// renders calls it.
func (e *Engine) report(ctx context.Context, b *binding, failures map[string]error) {
	known, _ := e.Errors(b.name)
	sameError := func(x, y error) bool { return x.Error() == y.Error() }
	if maps.EqualFunc(failures, known.ByCluster, sameError) {
		return
	}
	errs := BindingErrors{Namespace: b.name.Namespace, Name: b.name.Name, UID: b.uid, ByCluster: failures}
	e.mu.Lock()
	if len(failures) == 0 {
		delete(e.errors, b.name)
	} else {
		e.errors[b.name] = errs
	}
	e.mu.Unlock()
	for cluster, err := range failures {
		klog.FromContext(ctx).Error(err, "Cannot render work, keeping the one before", "binding", b.name, "cluster", cluster)
	}
	if e.options.OnErrors != nil {
		e.options.OnErrors(ctx, errs)
	}
}

// forget drops the errors of bindings that are gone.
func (e *Engine) forget(exists func(types.NamespacedName) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.errors, func(name types.NamespacedName, _ BindingErrors) bool { return !exists(name) })
}
