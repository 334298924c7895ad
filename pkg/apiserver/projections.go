// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	cliflag "k8s.io/component-base/cli/flag"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/apiserver/members"
	"fleet.dev/fleet/pkg/derived"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
	"fleet.dev/fleet/pkg/projection"
)

// ProjectionOptions are about objects of members that are shown in the fleet.
type ProjectionOptions struct {
	// Enabled shows them. It is the default of a server with an etcd of its own, and
	// of others when they have a number.
	Enabled cliflag.Tristate
	// Server is the number of this server among those over one etcd, 1 to 63. It has
	// to be given when etcd is external; 1 is the default otherwise.
	Server uint64
}

func (o *ProjectionOptions) addFlags(fs *pflag.FlagSet) {
	fs.Var(&o.Enabled, "projections", "Show Nodes of members, and what they made of the fleet's objects (Pods, Jobs, endpoints, volumes, Events), among those of the fleet. "+
		"The default is to do so, with --etcd-servers if there is --projections-server.")
	fs.Lookup("projections").NoOptDefVal = "true"
	fs.Uint64Var(&o.Server, "projections-server", o.Server, "Number of this API server among those over the same etcd, 1 to 63, for --projections. "+
		"No two of them may have the same. Needed with --etcd-servers only.")
}

// completed are the options with the number of a server that is alone.
func (o ProjectionOptions) completed(embed bool) ProjectionOptions {
	if embed && o.Server == 0 {
		o.Server = 1
	}
	if !o.Enabled.Provided() {
		o.Enabled.Default(o.Server > 0)
	}
	return o
}

func (o ProjectionOptions) validate() []error {
	if o.Enabled.Value() && (o.Server < 1 || o.Server > projection.MaxServer) {
		return []error{fmt.Errorf("--projections-server must be in 1 to %d and another one on each server over the same etcd", projection.MaxServer)}
	}
	return nil
}

// projections are objects of members among those stored in the fleet, with what
// they need of the server they are part of.
type projections struct {
	*projection.Projections

	kubelets  *projection.Kubelets
	owners    *projection.Workloads
	templates projection.Templates
	number    uint64
	leases    coordinationv1client.LeasesGetter
	// fleetID is set before the server runs.
	fleetID types.UID
}

// newProjections returns nil unless they are enabled.
func newProjections(opts ProjectionOptions, members *projectedMembers, works *derived.Engine) (*projections, error) {
	if !opts.Enabled.Value() {
		return nil, nil //nolint:nilnil // nothing is to be shown
	}
	p := &projections{owners: &projection.Workloads{}, templates: memberTemplates{works}, number: opts.Server}
	var err error
	p.Projections, err = projection.New(projection.Options{
		Kinds:   projectedKinds(p.templates),
		Members: members,
		Owners:  p.owners,
		Server:  opts.Server,
		Bump:    p.bump,
		FleetID: func() string { return string(p.fleetID) },
		Await: func(ctx context.Context) error {
			return wait.PollUntilContextCancel(ctx, awaitPeriod, true, func(context.Context) (bool, error) {
				return members.synced() && works.Ready() == nil, nil
			})
		},
	})
	if err != nil {
		return nil, err
	}
	p.kubelets, err = projection.NewKubelets(p.Projections)
	return p, err
}

// awaitPeriod is how often a server that starts looks whether it knows its members.
const awaitPeriod = 50 * time.Millisecond

// projectedKinds are the kinds whose objects in members are shown.
func projectedKinds(templates projection.Templates) []projection.Kind {
	return []projection.Kind{
		projection.Pods(templates), projection.Nodes(), projection.Events(templates), projection.Jobs(templates),
		projection.EndpointSlices(templates), projection.Endpoints(templates),
		projection.Claims(templates), projection.Volumes(templates),
	}
}

// configure has Pods' subresources go to members.
func (p *projections) configure(config *config) {
	config.kube.KubeletClientConfig = p.kubelets.ClientConfig()
}

// install runs the projections with the server.
func (p *projections) install(server *genericapiserver.GenericAPIServer) error {
	client, err := kubernetes.NewForConfig(server.LoopbackClientConfig)
	if err != nil {
		return fmt.Errorf("make loopback client: %w", err)
	}
	p.leases = client.CoordinationV1()
	if p.owners.Client, err = metadata.NewForConfig(server.LoopbackClientConfig); err != nil {
		return fmt.Errorf("make loopback metadata client: %w", err)
	}
	if err := server.AddPostStartHook("fleet/projections", func(hook genericapiserver.PostStartHookContext) error {
		go runUntilDone(hook, p.Run)
		go runUntilDone(hook, p.kubelets.Run)
		return nil
	}); err != nil {
		return err
	}
	return server.AddReadyzChecks(projectionReadiness{p})
}

// memberTemplates knows by the works what members have of the fleet. It implements
// projection.Templates.
type memberTemplates struct{ engine *derived.Engine }

var _ projection.Templates = memberTemplates{}

// Template implements projection.Templates.
func (m memberTemplates) Template(member string, kind schema.GroupKind, namespace, name string) (types.UID, bool) {
	binding := workv1alpha1.BindingNameForGroupKind(kind, name)
	found, ok := m.engine.Get(clusterv1alpha1.MemberNamespace(member), workv1alpha1.WorkName(namespace, binding))
	if !ok || found.Spec.Template.Kind != kind.Kind || found.Spec.Template.Name != name {
		return "", false
	}
	return found.Spec.Template.UID, true
}

// bump writes to etcd: the lease that says when this server last did.
func (p *projections) bump(ctx context.Context) error {
	leases := p.leases.Leases(metav1.NamespaceSystem)
	name := fmt.Sprintf("fleet-projections-%d", p.number)
	now := metav1.NewMicroTime(time.Now()) //nolint:forbidigo // as informative as the clock of the lease
	lease, err := leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: coordinationv1.LeaseSpec{RenewTime: &now},
		}, metav1.CreateOptions{})
	} else if err == nil {
		lease.Spec.RenewTime = &now
		_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return nil // somebody else has written meanwhile, which is all it takes
	}
	return err
}

// projectionReadiness holds /readyz back until what is stored is served.
type projectionReadiness struct{ projections *projections }

func (projectionReadiness) Name() string                { return "fleet-projections" }
func (r projectionReadiness) Check(*http.Request) error { return r.projections.Ready() }

// projectedMembers is how the server gets to members on its own behalf: for
// projections, and to dial Services. It implements projection.Members.
type projectedMembers struct {
	ways *members.Members
	as   user.Info

	clusters cache.Indexer
	synced   cache.InformerSynced
	// turned is called when a member is not heard from any more, or again.
	turned func(member string)

	mu      sync.Mutex
	changed chan struct{} // guarded by mu
}

var _ projection.Members = &projectedMembers{}

func newProjectedMembers(ways *members.Members) *projectedMembers {
	return &projectedMembers{ways: ways, as: &user.DefaultInfo{Name: wellknown.UserAPIServer}, turned: func(string) {}, changed: make(chan struct{})}
}

// install has Clusters be watched with the server.
func (m *projectedMembers) install(server *genericapiserver.GenericAPIServer) error {
	fleetClient, err := newLoopbackFleetClient(server.LoopbackClientConfig)
	if err != nil {
		return err
	}
	informers := fleetinformers.NewSharedInformerFactoryWithOptions(fleetClient, 0, fleetinformers.WithTransform(trimMember))
	if err := m.watch(informers.Cluster().V1alpha1().Clusters().Informer()); err != nil {
		return err
	}
	return server.AddPostStartHook("fleet/member-list", func(hook genericapiserver.PostStartHookContext) error {
		informers.StartWithContext(hook)
		return nil
	})
}

// watch has Clusters come from an informer that is not started yet.
func (m *projectedMembers) watch(clusters cache.SharedIndexInformer) error {
	m.clusters, m.synced = clusters.GetIndexer(), clusters.HasSynced
	_, err := clusters.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(added any) {
			m.notify()
			if shown := shownMember(added); shown.Unready != "" {
				m.turned(shown.Name)
			}
		},
		UpdateFunc: func(before, after any) {
			old, shown := shownMember(before), shownMember(after)
			if old != shown || !sameMetrics(before, after) {
				m.notify()
			}
			if (old.Unready == "") != (shown.Unready == "") {
				m.turned(shown.Name)
			}
		},
		DeleteFunc: func(any) { m.notify() },
	})
	return err
}

func (m *projectedMembers) notify() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}

// unreachable says whether nobody hears from a member.
func (m *projectedMembers) unreachable(name string) bool {
	object, ok, err := m.clusters.GetByKey(name)
	return err == nil && ok && shownMember(object).Unready != ""
}

// Clusters implements projection.Members: those that were accepted.
func (m *projectedMembers) Clusters() ([]projection.Cluster, <-chan struct{}) {
	m.mu.Lock()
	changed := m.changed
	m.mu.Unlock()
	var found []projection.Cluster
	for _, object := range m.clusters.List() {
		if member := shownMember(object); member.Name != "" {
			found = append(found, member)
		}
	}
	slices.SortFunc(found, func(a, b projection.Cluster) int { return strings.Compare(a.Name, b.Name) })
	return found, changed
}

// shownMember is what projections know of a Cluster, nothing of one that was not
// accepted.
func shownMember(object any) projection.Cluster {
	member, ok := object.(*clusterv1alpha1.Cluster)
	if !ok || member.Spec.SyncMode == clusterv1alpha1.Pull && !member.Spec.Accepted {
		return projection.Cluster{}
	}
	shown := projection.Cluster{Name: member.Name}
	if ready := meta.FindStatusCondition(member.Status.Conditions, clusterv1alpha1.ClusterConditionReady); ready != nil && ready.Status == metav1.ConditionUnknown {
		shown.Unready = ready.Message
		if shown.Unready == "" {
			shown.Unready = ready.Reason
		}
		shown.Since = ready.LastTransitionTime.Time
	}
	return shown
}

// errUnknown says that a member left between two questions.
var errUnknown = errors.New("there is no such Cluster any more")

// Way implements projection.Members.
func (m *projectedMembers) Way(ctx context.Context, name string, upgrade bool) (projection.Way, error) {
	object, ok, err := m.clusters.GetByKey(name)
	if err == nil && !ok {
		err = errUnknown
	}
	if err != nil {
		return projection.Way{}, fmt.Errorf("reach member %q: %w", name, err)
	}
	member := &cluster.Cluster{}
	if err := clusterv1alpha1.Convert_v1alpha1_Cluster_To_cluster_Cluster(object.(*clusterv1alpha1.Cluster).DeepCopy(), member, nil); err != nil {
		return projection.Way{}, fmt.Errorf("reach member %q: %w", name, err)
	}
	way, err := m.ways.Way(ctx, member, m.as, upgrade)
	return projection.Way{URL: way.URL, Transport: way.Transport}, err
}

// trimMember keeps of a Cluster what it takes to reach it, whether it is ready, and
// which metrics it serves.
func trimMember(object any) (any, error) {
	member, ok := object.(*clusterv1alpha1.Cluster)
	if !ok {
		return object, nil
	}
	member.ManagedFields = nil
	member.Status = clusterv1alpha1.ClusterStatus{Conditions: member.Status.Conditions, APIEnablements: metricsAPIs(member.Status.APIEnablements)}
	return member, nil
}
