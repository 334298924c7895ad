// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package revisions

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	appsv1listers "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/history"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/controllers/loop"
	"fleet.dev/fleet/pkg/pace"
	"fleet.dev/fleet/pkg/revision"
)

const (
	// workers is how many workloads are looked at together.
	workers = 4
	// statusPeriod is how often numbers are written while a rollout goes on.
	statusPeriod = time.Second
	// shortestDelay is how long a workload waits that was created: there is more to do
	// about it that does not wait. The delay doubles with each crowd of workloads that are
	// created or change per second, up to longestDelay.
	shortestDelay = 100 * time.Millisecond
	longestDelay  = 4 * time.Second
	crowd         = 8
	// byDeployment is the index of records by namespace/name of their Deployment.
	byDeployment = "deployment"
)

// The kinds that have revisions.
const (
	kindDeployment  = "Deployment"
	kindStatefulSet = "StatefulSet"
	kindDaemonSet   = "DaemonSet"
)

// Dependencies is what the controller is made from. All are required.
type Dependencies struct {
	Client    kubernetes.Interface
	Informers informers.SharedInformerFactory
	Recorder  record.EventRecorder
	Clock     clock.WithTicker
}

// Controller keeps the records of workloads' revisions.
type Controller struct {
	client    kubernetes.Interface
	rsControl controller.RSControlInterface
	history   history.Interface
	clock     clock.WithTicker
	loop      *loop.Loop // of kind/namespace/name
	pace      *pace.Pace
	// reconciles are what is done about each kind; they return when to look again.
	reconciles map[string]func(ctx context.Context, name types.NamespacedName) (time.Duration, error)

	deployments  appsv1listers.DeploymentLister
	statefulSets appsv1listers.StatefulSetLister
	daemonSets   appsv1listers.DaemonSetLister
	replicaSets  cache.Indexer

	mu  sync.Mutex
	due map[types.NamespacedName]time.Time // when numbers of a Deployment are to be written; guarded by mu
}

// New returns a controller. It adds handlers and indexes to the informers, which must
// not run yet.
func New(d Dependencies) (*Controller, error) {
	apps := d.Informers.Apps().V1()
	replicaSets, revisions := apps.ReplicaSets().Informer(), apps.ControllerRevisions().Informer()
	if err := replicaSets.AddIndexers(cache.Indexers{byDeployment: indexByDeployment}); err != nil {
		return nil, fmt.Errorf("index replica sets by deployment: %w", err)
	}
	if err := history.AddControllerRevisionControllerIndexer(revisions); err != nil {
		return nil, fmt.Errorf("index controller revisions by owner: %w", err)
	}
	c := &Controller{
		client:      d.Client,
		rsControl:   controller.RealRSControl{KubeClient: d.Client, Recorder: d.Recorder},
		history:     history.NewHistory(d.Client, apps.ControllerRevisions().Lister(), revisions.GetIndexer()),
		clock:       d.Clock,
		deployments: apps.Deployments().Lister(), statefulSets: apps.StatefulSets().Lister(), daemonSets: apps.DaemonSets().Lister(),
		replicaSets: replicaSets.GetIndexer(),
		due:         map[types.NamespacedName]time.Time{},
		pace:        pace.New(shortestDelay, longestDelay, crowd),
	}
	c.loop = loop.New(loop.Config{
		Name: "revision", Key: "workload", Workers: workers, Reconcile: c.reconcile, Clock: d.Clock,
		Expects: func(err error) bool { return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) },
	})
	c.reconciles = map[string]func(context.Context, types.NamespacedName) (time.Duration, error){
		kindDeployment: c.reconcileDeployment, kindStatefulSet: c.reconcileStatefulSet, kindDaemonSet: c.reconcileDaemonSet,
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		apps.Deployments().Informer():  c.workloads(kindDeployment),
		apps.StatefulSets().Informer(): c.workloads(kindStatefulSet),
		apps.DaemonSets().Informer():   c.workloads(kindDaemonSet),
		replicaSets:                    loop.Each(c.enqueueOwner),
		revisions:                      loop.Each(c.enqueueOwner),
	} {
		if err := c.loop.Watch(informer, handler); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func indexByDeployment(object any) ([]string, error) {
	rs, ok := object.(*appsv1.ReplicaSet)
	if !ok {
		return nil, nil
	}
	name := revision.DeploymentOf(rs)
	if name == "" {
		return nil, nil
	}
	return []string{rs.Namespace + "/" + name}, nil
}

// workloads has workloads of a kind looked at: soon when they are created, and at once when
// the user changed one, since a second change would leave no record of the first. Their
// status waits while much happens only, since an orphaned record keeps the numbers it has.
func (c *Controller) workloads(kind string) cache.ResourceEventHandler {
	enqueue := func(object any, delay time.Duration) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			c.loop.Queue.AddAfter(kind+"/"+key, delay)
		}
	}
	soon := func(object any) { enqueue(object, c.pace.Delay(c.clock.Now())) }
	return cache.ResourceEventHandlerFuncs{
		AddFunc: soon, DeleteFunc: soon,
		UpdateFunc: func(before, after any) {
			if before.(metav1.Object).GetGeneration() != after.(metav1.Object).GetGeneration() {
				enqueue(after, 0)
				return
			}
			enqueue(after, c.pace.Delay(c.clock.Now())-shortestDelay)
		},
	}
}

// enqueueOwner has the workload looked at that a record is of.
func (c *Controller) enqueueOwner(object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	recorded, ok := object.(metav1.Object)
	if !ok {
		return
	}
	if owner := metav1.GetControllerOfNoCopy(recorded); owner != nil && c.reconciles[owner.Kind] != nil {
		c.loop.Queue.Add(owner.Kind + "/" + recorded.GetNamespace() + "/" + owner.Name)
	} else if name := revision.DeploymentOf(recorded); owner == nil && name != "" {
		c.loop.Queue.Add(kindDeployment + "/" + recorded.GetNamespace() + "/" + name)
	}
}

// Run serves until ctx ends.
func (c *Controller) Run(ctx context.Context) { c.loop.Run(ctx) }

// reconcile records the revisions of the workload with a key.
func (c *Controller) reconcile(ctx context.Context, key string) (time.Duration, error) {
	kind, key, _ := strings.Cut(key, "/")
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return 0, err
	}
	return c.reconciles[kind](ctx, types.NamespacedName{Namespace: namespace, Name: name})
}
