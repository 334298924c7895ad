// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	coordinationlisters "k8s.io/client-go/listers/coordination/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/controllers/loop"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
	clusterlisters "fleet.dev/fleet/pkg/generated/listers/cluster/v1alpha1"
)

// workers is how many Clusters are reconciled at a time.
const workers = 4

// Reasons of Events about a Cluster, beside those of its conditions.
const (
	reasonTainted       = "Tainted"
	reasonTaintRemoved  = "TaintRemoved"
	reasonUnjoining     = "Unjoining"
	reasonUnjoined      = "Unjoined"
	reasonObjectsRemain = "ObjectsMayRemain"
	reasonReleasedAll   = "ObjectsReleased"
)

// Dependencies is what the controller is made from. All are required.
type Dependencies struct {
	KubeClient  kubernetes.Interface
	FleetClient fleetclient.Interface
	// KubeInformers gives Namespaces, Leases and RoleBindings.
	KubeInformers informers.SharedInformerFactory
	// FleetInformers gives Clusters and bindings; it should have the transform
	// Trim.
	FleetInformers fleetinformers.SharedInformerFactory
	// Recorder tells of members lost and unjoined.
	Recorder record.EventRecorder
	Clock    clock.WithTicker
}

// Controller reconciles Clusters.
type Controller struct {
	kubeClient  kubernetes.Interface
	fleetClient fleetclient.Interface
	recorder    record.EventRecorder

	clusters   clusterlisters.ClusterLister
	namespaces corelisters.NamespaceLister
	leases     coordinationlisters.LeaseLister
	// roleBindings are those of the syncer, among others.
	roleBindings rbaclisters.RoleBindingLister
	// bindings are the informers of both scopes, indexed by byCluster.
	bindings []cache.SharedIndexInformer

	heartbeats *heartbeats
	history    *history
	loop       *loop.Loop // of names of Clusters
}

// New returns a controller. It adds handlers and indexes to the informers, which
// must not run yet.
func New(d Dependencies) (*Controller, error) {
	clusterInformer := d.FleetInformers.Cluster().V1alpha1().Clusters()
	namespaceInformer := d.KubeInformers.Core().V1().Namespaces()
	leaseInformer := d.KubeInformers.Coordination().V1().Leases()
	roleBindingInformer := d.KubeInformers.Rbac().V1().RoleBindings()
	work := d.FleetInformers.Work().V1alpha1()
	c := &Controller{
		kubeClient:   d.KubeClient,
		fleetClient:  d.FleetClient,
		recorder:     d.Recorder,
		clusters:     clusterInformer.Lister(),
		namespaces:   namespaceInformer.Lister(),
		leases:       leaseInformer.Lister(),
		roleBindings: roleBindingInformer.Lister(),
		bindings:     []cache.SharedIndexInformer{work.ResourceBindings().Informer(), work.ClusterResourceBindings().Informer()},
		heartbeats:   newHeartbeats(d.Clock),
		history:      newHistory(d.Clock),
	}
	c.loop = loop.New(loop.Config{Name: "cluster", Key: "cluster", Workers: workers, Reconcile: c.reconcile, Clock: d.Clock})
	watched := map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		clusterInformer.Informer():     c.onChange(c.enqueueCluster),
		namespaceInformer.Informer():   c.onChange(c.enqueueNamespace),
		leaseInformer.Informer():       c.onChange(c.observeLease),
		roleBindingInformer.Informer(): c.onChange(c.enqueueRoleBinding),
	}
	for _, informer := range c.bindings {
		if err := informer.AddIndexers(cache.Indexers{byCluster: indexByCluster}); err != nil {
			return nil, fmt.Errorf("index bindings by cluster: %w", err)
		}
		watched[informer] = cache.ResourceEventHandlerFuncs{
			AddFunc:    func(added any) { c.enqueueTouched(added) },
			UpdateFunc: func(old, updated any) { c.enqueueTouched(old, updated) },
			DeleteFunc: func(deleted any) { c.enqueueTouched(deleted) },
		}
	}
	for informer, handler := range watched {
		if err := c.loop.Watch(informer, handler); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Run reconciles until ctx ends.
func (c *Controller) Run(ctx context.Context) { c.loop.Run(ctx) }

// reconcile brings one Cluster in order and returns after which time to look
// again without an event; 0 means never.
func (c *Controller) reconcile(ctx context.Context, name string) (time.Duration, error) {
	cluster, err := c.clusters.Get(name)
	if apierrors.IsNotFound(err) {
		c.heartbeats.forget(name)
		c.history.forget(name)
		return 0, c.sweep(ctx, name)
	}
	if err != nil {
		return 0, fmt.Errorf("get cluster %q: %w", name, err)
	}
	if !cluster.DeletionTimestamp.IsZero() {
		return 0, c.unjoin(ctx, cluster)
	}
	if err := c.ensureNamespace(ctx, clusterv1alpha1.MemberNamespace(name)); err != nil {
		return 0, err
	}
	if err := c.ensureSyncerAccess(ctx, cluster); err != nil {
		return 0, err
	}
	c.announce(cluster)
	age, err := c.heartbeatAge(cluster)
	if err != nil {
		return 0, err
	}
	if age >= LeaseGrace {
		if err := c.declareUnheard(ctx, cluster); err != nil {
			return 0, err
		}
	}
	hold, err := c.taint(ctx, cluster)
	// Once the grace is over only an event changes anything: the next heartbeat.
	return sooner(max(0, LeaseGrace-age), hold), err
}

// sooner returns the shorter of two times; 0 is never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// announce records an Event when the condition Ready is not what it was.
func (c *Controller) announce(cluster *clusterv1alpha1.Cluster) {
	ready := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady)
	if !c.history.observe(cluster.Name, ready) || ready == nil {
		return
	}
	switch ready.Status {
	case metav1.ConditionTrue:
		c.recorder.Eventf(cluster, corev1.EventTypeNormal, ready.Reason, "The member is ready: %s", ready.Message)
	case metav1.ConditionUnknown:
		c.recorder.Eventf(cluster, corev1.EventTypeWarning, ready.Reason, "The member is lost: %s", ready.Message)
	default:
		c.recorder.Eventf(cluster, corev1.EventTypeWarning, ready.Reason, "The member is not ready: %s", ready.Message)
	}
}

// taint keeps finalizer and taint as they should be. It returns for how much
// longer a member that is ready again keeps its taint, 0 if it has none to lose.
func (c *Controller) taint(ctx context.Context, cluster *clusterv1alpha1.Cluster) (hold time.Duration, err error) {
	hold = c.history.hold(cluster.Name)
	var before, want string
	changed, err := c.update(ctx, cluster, func(cl *clusterv1alpha1.Cluster) bool {
		finalized := addFinalizer(cl)
		before, want = ownTaint(cl), wantedTaint(cl)
		if want == "" && hold > 0 {
			want = before
		}
		return setTaint(cl, want) || finalized
	})
	if changed && before != want {
		c.announceTaint(cluster, before, want)
	}
	if want == "" {
		hold = 0
	}
	return hold, err
}

func (c *Controller) announceTaint(cluster *clusterv1alpha1.Cluster, before, now string) {
	if now == "" {
		c.recorder.Eventf(cluster, corev1.EventTypeNormal, reasonTaintRemoved, "Taint %s is gone: the member may take templates again", before)
		return
	}
	c.recorder.Eventf(cluster, corev1.EventTypeNormal, reasonTainted, "Taint %s keeps new templates away from the member", now)
}

// heartbeatAge returns how long ago the member was heard of.
func (c *Controller) heartbeatAge(cluster *clusterv1alpha1.Cluster) (time.Duration, error) {
	namespace := clusterv1alpha1.MemberNamespace(cluster.Name)
	lease, err := c.leases.Leases(namespace).Get(cluster.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("get lease %q in namespace %q: %w", cluster.Name, namespace, err)
	}
	c.heartbeats.observeReport(cluster.Name, unheard(cluster))
	return c.heartbeats.observeLease(cluster.Name, lease), nil
}

// declareUnheard writes Ready=Unknown, once. Event and taint follow with the
// event of that write.
func (c *Controller) declareUnheard(ctx context.Context, cluster *clusterv1alpha1.Cluster) error {
	return c.updateStatus(ctx, cluster, func(status *clusterv1alpha1.ClusterStatus) bool {
		return markUnheard(status, cluster.Generation)
	})
}

func addFinalizer(cluster *clusterv1alpha1.Cluster) bool {
	if slices.Contains(cluster.Finalizers, wellknown.FinalizerUnjoin) {
		return false
	}
	cluster.Finalizers = append(cluster.Finalizers, wellknown.FinalizerUnjoin)
	return true
}

// ensureNamespace creates the member's namespace. One that is being deleted is
// created again when it is gone, by its event.
func (c *Controller) ensureNamespace(ctx context.Context, name string) error {
	if _, err := c.namespaces.Get(name); !apierrors.IsNotFound(err) {
		return err
	}
	system, err := c.namespaces.Get(metav1.NamespaceSystem)
	if err != nil {
		return fmt.Errorf("identify the fleet by its namespace %q: %w", metav1.NamespaceSystem, err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{wellknown.LabelManagedBy: string(system.UID)},
	}}
	_, err = c.kubeClient.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %q: %w", name, err)
	}
	return nil
}

// update writes metadata and spec of a Cluster if mutate changes something: on
// the cached object, which is trimmed, and then on the live one. It reports
// whether it wrote.
func (c *Controller) update(ctx context.Context, cached *clusterv1alpha1.Cluster, mutate func(*clusterv1alpha1.Cluster) bool) (bool, error) {
	if !mutate(cached.DeepCopy()) {
		return false, nil
	}
	live, err := c.get(ctx, cached)
	if err != nil || live == nil || !mutate(live) {
		return false, err
	}
	if _, err := c.fleetClient.ClusterV1alpha1().Clusters().Update(ctx, live, metav1.UpdateOptions{}); err != nil {
		return false, fmt.Errorf("update cluster %q: %w", live.Name, err)
	}
	return true, nil
}

// updateStatus is update for the status.
func (c *Controller) updateStatus(ctx context.Context, cached *clusterv1alpha1.Cluster, mutate func(*clusterv1alpha1.ClusterStatus) bool) error {
	if !mutate(cached.Status.DeepCopy()) {
		return nil
	}
	live, err := c.get(ctx, cached)
	if err != nil || live == nil || !mutate(&live.Status) {
		return err
	}
	if _, err := c.fleetClient.ClusterV1alpha1().Clusters().UpdateStatus(ctx, live, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update the status of cluster %q: %w", live.Name, err)
	}
	return nil
}

// get reads the live Cluster; nil when it is gone or is another by now.
func (c *Controller) get(ctx context.Context, cached *clusterv1alpha1.Cluster) (*clusterv1alpha1.Cluster, error) {
	live, err := c.fleetClient.ClusterV1alpha1().Clusters().Get(ctx, cached.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && live.UID != cached.UID {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get cluster %q: %w", cached.Name, err)
	}
	return live, nil
}

// onChange calls handle with the object of every event.
func (c *Controller) onChange(handle func(object metav1.Object)) cache.ResourceEventHandler {
	of := func(object any) {
		if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = unknown.Obj
		}
		if accessor, err := meta.Accessor(object); err == nil {
			handle(accessor)
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: of, UpdateFunc: func(_, updated any) { of(updated) }, DeleteFunc: of}
}

func (c *Controller) enqueueCluster(cluster metav1.Object) {
	c.loop.Queue.Add(cluster.GetName())
}

func (c *Controller) enqueueNamespace(namespace metav1.Object) {
	if name, ok := clusterv1alpha1.ClusterOfNamespace(namespace.GetName()); ok {
		c.loop.Queue.Add(name)
	}
}

func (c *Controller) enqueueRoleBinding(binding metav1.Object) {
	if name, ok := clusterv1alpha1.ClusterOfNamespace(binding.GetNamespace()); ok && binding.GetName() == wellknown.RoleCredentials {
		c.loop.Queue.Add(name)
	}
}

// observeLease notes a heartbeat, and looks at the Cluster at once if it was
// given up. Otherwise a timer runs, and heartbeats cost no reconcile.
func (c *Controller) observeLease(object metav1.Object) {
	name, ok := clusterv1alpha1.ClusterOfNamespace(object.GetNamespace())
	if !ok || name != object.GetName() {
		return
	}
	lease, ok := object.(*coordinationv1.Lease)
	if !ok {
		return
	}
	c.heartbeats.observeLease(name, lease)
	if cluster, err := c.clusters.Get(name); err == nil && unheard(cluster) {
		c.loop.Queue.Add(name)
	}
}
