// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apiextensionsapiserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
	"k8s.io/utils/clock"

	appsinstall "fleet.dev/fleet/pkg/apis/apps/install"
	appsv1alpha1 "fleet.dev/fleet/pkg/apis/apps/v1alpha1"
	clusterinstall "fleet.dev/fleet/pkg/apis/cluster/install"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	configinstall "fleet.dev/fleet/pkg/apis/config/install"
	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	policyinstall "fleet.dev/fleet/pkg/apis/policy/install"
	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workinstall "fleet.dev/fleet/pkg/apis/work/install"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/apiserver/members"
	"fleet.dev/fleet/pkg/derived"
	"fleet.dev/fleet/pkg/feedback"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/interpreter/builtin"
	"fleet.dev/fleet/pkg/interpreter/store"
	appsrest "fleet.dev/fleet/pkg/registry/apps/rest"
	clusterrest "fleet.dev/fleet/pkg/registry/cluster/rest"
	configrest "fleet.dev/fleet/pkg/registry/config/rest"
	policyrest "fleet.dev/fleet/pkg/registry/policy/rest"
	workrest "fleet.dev/fleet/pkg/registry/work/rest"
)

// installScheme registers the fleet's types beside upstream's, once.
var installScheme = sync.OnceFunc(func() {
	for _, install := range []func(*runtime.Scheme){
		clusterinstall.Install, policyinstall.Install, workinstall.Install, configinstall.Install, appsinstall.Install,
	} {
		install(legacyscheme.Scheme)
	}
})

// fleetGroupVersions are served by default.
func fleetGroupVersions() []schema.GroupVersion {
	return []schema.GroupVersion{
		clusterv1alpha1.SchemeGroupVersion, policyv1alpha1.SchemeGroupVersion,
		workv1alpha1.SchemeGroupVersion, configv1alpha1.SchemeGroupVersion, appsv1alpha1.SchemeGroupVersion,
	}
}

// fleetGroups are the fleet's groups with what runs behind them: the engine that
// renders works and the intake of feedback.
type fleetGroups struct {
	capture *derived.Capture
	engine  *derived.Engine
	sink    sink
	stores  workrest.FeedbackStores
	members *members.Members
	// reach is members as this server itself reaches them.
	reach *projectedMembers
	// projections are nil unless they are enabled.
	projections *projections
	peers       bool

	interpretations *store.Store
}

// newFleetGroups returns the groups; peers says that other servers may run over
// the same etcd.
func newFleetGroups(peers bool) *fleetGroups {
	capture := derived.NewCapture(legacyscheme.Scheme, apiextensionsapiserver.Scheme, aggregatorscheme.Scheme)
	f := &fleetGroups{capture: capture, members: members.New(clock.RealClock{}), peers: peers}
	f.reach = newProjectedMembers(f.members)
	f.reach.turned = f.resyncMember
	f.engine = derived.NewEngine(capture, derived.Options{
		// Status follows from a decision also where no member reports, and a crash
		// between two writes is made good after the next start.
		OnChange: func(binding types.NamespacedName) {
			if intake := f.sink.Intake; intake != nil {
				intake.Resync(binding)
			}
		},
		// Why there is no work goes to the binding as well.
		OnErrors: func(_ context.Context, errs derived.BindingErrors) {
			if intake := f.sink.Intake; intake != nil {
				intake.Resync(types.NamespacedName{Namespace: errs.Namespace, Name: errs.Name})
			}
		},
	})
	return f
}

// resyncMember has the status be made anew of all that a member has, when it is not heard
// from any more, or again.
func (f *fleetGroups) resyncMember(member string) {
	if f.sink.Intake == nil {
		return
	}
	for _, binding := range f.engine.Bindings(clusterv1alpha1.MemberNamespace(member)) {
		f.sink.Resync(binding)
	}
}

// sink is where reports of members go; it exists before the intake, which needs
// the storage that is made with it.
type sink struct{ *feedback.Intake }

// wrap puts the capture around the storage options of a server.
func (f *fleetGroups) wrap(getter generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	if f.projections != nil {
		getter = f.projections.Wrap(getter)
	}
	return f.capture.Wrap(getter)
}

// install adds the groups to the server and the hooks that run what is behind
// them.
func (f *fleetGroups) install(server *controlplaneapiserver.Server) error {
	providers := []controlplaneapiserver.RESTStorageProvider{
		clusterrest.NewProvider(f.members, f.members.Tunnels), policyrest.Provider, configrest.Provider, appsrest.Provider, workrest.NewProvider(&f.sink, &f.stores),
	}
	if err := server.InstallAPIs(providers...); err != nil {
		return err
	}
	generic := server.GenericAPIServer
	if err := f.followCustomizations(generic); err != nil {
		return err
	}
	var err error
	if f.sink.Intake, err = f.newIntake(generic.LoopbackClientConfig); err != nil {
		return err
	}
	f.interpretations.Listen(store.Listener{Rules: []interpreter.Rule{interpreter.StatusAggregation}, Changed: f.sink.Reinterpret})
	if err := generic.AddPostStartHook("fleet/derived-works", func(hook genericapiserver.PostStartHookContext) error {
		go runUntilDone(hook, f.engine.Run)
		return nil
	}); err != nil {
		return err
	}
	if err := generic.AddPostStartHook("fleet/feedback-intake", func(hook genericapiserver.PostStartHookContext) error {
		go runUntilDone(hook, f.runIntake)
		return nil
	}); err != nil {
		return err
	}
	return generic.AddReadyzChecks(derivedReadiness{f.engine})
}

// followCustomizations keeps what interprets custom resources current while the server
// runs.
func (f *fleetGroups) followCustomizations(generic *genericapiserver.GenericAPIServer) error {
	customizations, err := builtin.Customizations()
	if err != nil {
		return err
	}
	f.interpretations = store.New(customizations)
	client, err := newLoopbackFleetClient(generic.LoopbackClientConfig)
	if err != nil {
		return err
	}
	informers := fleetinformers.NewSharedInformerFactory(client, 0)
	if _, err := f.interpretations.Follow(informers.Config().V1alpha1().ResourceInterpreterCustomizations().Informer()); err != nil {
		return err
	}
	return generic.AddPostStartHook("fleet/customizations", func(hook genericapiserver.PostStartHookContext) error {
		informers.StartWithContext(hook)
		return nil
	})
}

// runIntake runs the intake, once it is known which members are heard from: what it makes
// before would be made anew.
func (f *fleetGroups) runIntake(ctx context.Context) error {
	cache.WaitForCacheSync(ctx.Done(), f.reach.synced)
	return f.sink.Run(ctx)
}

// runUntilDone runs a part of the server that only returns when told to stop.
func runUntilDone(ctx context.Context, run func(context.Context) error) {
	if err := run(ctx); err != nil && ctx.Err() == nil {
		panic(fmt.Sprintf("a part of the API server stopped: %v", err)) // a mistake in how it was assembled
	}
}

func (f *fleetGroups) newIntake(loopback *rest.Config) (*feedback.Intake, error) {
	config := jsonLoopback(loopback)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make loopback client: %w", err)
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make loopback client: %w", err)
	}
	kube, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return nil, fmt.Errorf("make loopback client: %w", err)
	}
	return feedback.New(feedback.Options{
		Events:    newRecorder(kube),
		Works:     worksIndex{f.engine},
		Bindings:  feedback.NewBindings(legacyscheme.Scheme, f.stores.Namespaced, f.stores.Cluster),
		Templates: feedback.NewTemplates(client, newMapper(found)),
		Failures:  f.failures,
		Peers:     f.peers,

		Unreachable: f.reach.unreachable,

		Interpreter: f.interpretations.Interpreter,
	})
}

// failures implements feedback.Options.Failures.
func (f *fleetGroups) failures(binding types.NamespacedName) map[string]error {
	errs, _ := f.engine.Errors(binding)
	return errs.ByCluster
}

// newRecorder records Events of this server, as long as the process lives.
func newRecorder(client kubernetes.Interface) record.EventRecorder {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return broadcaster.NewRecorder(legacyscheme.Scheme, corev1.EventSource{Component: "fleet-apiserver"})
}

// worksIndex finds the binding behind a work.
type worksIndex struct{ engine *derived.Engine }

// BindingOf implements feedback.Works.
func (w worksIndex) BindingOf(member, name string) (types.NamespacedName, bool) {
	work, ok := w.engine.Get(clusterv1alpha1.MemberNamespace(member), name)
	if !ok {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: work.Spec.Binding.Namespace, Name: work.Spec.Binding.Name}, true
}

// derivedReadiness holds /readyz back until works are loaded.
type derivedReadiness struct{ engine *derived.Engine }

func (derivedReadiness) Name() string                { return "fleet-derived-works" }
func (d derivedReadiness) Check(*http.Request) error { return d.engine.Ready() }

// jsonLoopback is the loopback client for kinds without a protobuf encoding.
func jsonLoopback(loopback *rest.Config) *rest.Config {
	config := rest.CopyConfig(loopback)
	config.ContentConfig = rest.ContentConfig{ContentType: runtime.ContentTypeJSON}
	return config
}

func newLoopbackFleetClient(loopback *rest.Config) (fleetclient.Interface, error) {
	client, err := fleetclient.NewForConfig(jsonLoopback(loopback))
	if err != nil {
		return nil, fmt.Errorf("make loopback client: %w", err)
	}
	return client, nil
}
