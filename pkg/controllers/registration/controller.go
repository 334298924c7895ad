// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package registration

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/controllers/loop"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
	clusterlisters "fleet.dev/fleet/pkg/generated/listers/cluster/v1alpha1"
)

// byClaim is the index of CertificateSigningRequests by the name of the Cluster
// that they ask to be.
const byClaim = "claimed-cluster"

// Indexes of Clusters: by the id of the member, and those in Pull mode that are not
// accepted, under the key isWaiting.
const (
	byID      = "id"
	byWaiting = "waiting"
	isWaiting = "true"
)

// Dependencies is what the controller is made from. All are required.
type Dependencies struct {
	KubeClient  kubernetes.Interface
	FleetClient fleetclient.Interface
	// KubeInformers gives CertificateSigningRequests.
	KubeInformers informers.SharedInformerFactory
	// FleetInformers gives Clusters, with metadata, spec and conditions.
	FleetInformers fleetinformers.SharedInformerFactory
	// Recorder tells of requests that were decided or wait.
	Recorder record.EventRecorder
}

// Controller decides on requests for certificates of members.
type Controller struct {
	kubeClient  kubernetes.Interface
	fleetClient fleetclient.Interface
	recorder    record.EventRecorder

	requests cache.Indexer
	clusters clusterlisters.ClusterLister
	indexed  cache.Indexer // the same

	loop *loop.Loop // of names of Clusters, which may be no valid names
}

// New returns a controller. It adds handlers and an index to the informers,
// which must not run yet.
func New(d Dependencies) (*Controller, error) {
	requests := d.KubeInformers.Certificates().V1().CertificateSigningRequests().Informer()
	clusters := d.FleetInformers.Cluster().V1alpha1().Clusters()
	if err := requests.AddIndexers(cache.Indexers{byClaim: indexByClaim}); err != nil {
		return nil, fmt.Errorf("index certificate signing requests by cluster: %w", err)
	}
	if err := clusters.Informer().AddIndexers(cache.Indexers{byID: indexByID, byWaiting: indexByWaiting}); err != nil {
		return nil, fmt.Errorf("index clusters for registrations: %w", err)
	}
	c := &Controller{
		kubeClient: d.KubeClient, fleetClient: d.FleetClient, recorder: d.Recorder,
		requests: requests.GetIndexer(), clusters: clusters.Lister(), indexed: clusters.Informer().GetIndexer(),
	}
	// There is one worker: two first requests for the same cluster under two names must
	// not be looked at in the same moment.
	c.loop = loop.New(loop.Config{
		Name: "registration", Key: "cluster", Workers: 1,
		Reconcile: func(ctx context.Context, name string) (time.Duration, error) { return 0, c.reconcile(ctx, name) },
	})
	for informer, enqueue := range map[cache.SharedIndexInformer]func(any){requests: c.enqueueRequest, clusters.Informer(): c.enqueueCluster} {
		if err := c.loop.Watch(informer, loop.Each(enqueue)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Run decides until ctx ends.
func (c *Controller) Run(ctx context.Context) { c.loop.Run(ctx) }

// reconcile decides on all that ask to be one cluster and says in the condition
// Accepted who is left.
func (c *Controller) reconcile(ctx context.Context, name string) error {
	cluster, err := c.clusters.Get(name)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get cluster %q: %w", name, err)
	}
	if apierrors.IsNotFound(err) {
		cluster = nil
	}
	pending, err := c.pending(name)
	if err != nil {
		return err
	}
	var waiting []candidate
	for _, request := range pending {
		left, created, err := c.settle(ctx, cluster, request)
		if err != nil || created {
			return err // the new Cluster brings the others back
		}
		waiting = append(waiting, left...)
	}
	if cluster == nil || cluster.Spec.SyncMode != clusterv1alpha1.Pull {
		return nil
	}
	return c.tell(ctx, cluster, accepted(cluster, waiting))
}

// pending returns the undecided requests that claim a name, oldest first.
func (c *Controller) pending(name string) ([]*certificatesv1.CertificateSigningRequest, error) {
	found, err := c.requests.ByIndex(byClaim, name)
	if err != nil {
		return nil, fmt.Errorf("find the requests of cluster %q: %w", name, err)
	}
	var pending []*certificatesv1.CertificateSigningRequest
	for _, object := range found {
		if request, ok := object.(*certificatesv1.CertificateSigningRequest); ok && undecided(request) {
			pending = append(pending, request)
		}
	}
	slices.SortFunc(pending, func(a, b *certificatesv1.CertificateSigningRequest) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return pending, nil
}

func undecided(request *certificatesv1.CertificateSigningRequest) bool {
	return len(request.Status.Certificate) == 0 && len(request.Status.Conditions) == 0
}

// settle decides on one request and acts on it. It returns the candidate if it
// waits, and whether a Cluster was created.
func (c *Controller) settle(ctx context.Context, cluster *clusterv1alpha1.Cluster, object *certificatesv1.CertificateSigningRequest) (waiting []candidate, created bool, err error) {
	request, err := identity.ParseRequest(&object.Spec)
	if err != nil {
		return nil, false, c.answer(ctx, cluster, object, denied(ReasonInvalidRequest, "%v", err))
	}
	others, err := c.othersThan(request.Identity)
	if err != nil {
		return nil, false, err
	}
	switch verdict := decide(&object.Spec, request, cluster, others); verdict.action {
	case create:
		return nil, true, c.create(ctx, object, request)
	case approve, deny:
		return nil, false, c.answer(ctx, cluster, object, verdict)
	}
	if byBootstrapToken(&object.Spec) {
		waiting = []candidate{{key: request.Key, requester: object.Spec.Username}}
	}
	return waiting, false, nil
}

// othersThan returns what matters to a request for an identity.
func (c *Controller) othersThan(i identity.Identity) (others, error) {
	sameID, err := c.indexed.ByIndex(byID, i.ID)
	if err != nil {
		return others{}, fmt.Errorf("find clusters by id: %w", err)
	}
	waiting, err := c.indexed.IndexKeys(byWaiting, isWaiting)
	if err != nil {
		return others{}, fmt.Errorf("find clusters that wait: %w", err)
	}
	out := others{waiting: len(waiting)}
	for _, object := range sameID {
		if cluster, ok := object.(*clusterv1alpha1.Cluster); ok && cluster.Name != i.Cluster {
			out.sameID = cluster.Name
		}
	}
	return out, nil
}

// create makes the Cluster of a first request, in one write with the key: the
// one whose key is in there first has the name.
func (c *Controller) create(ctx context.Context, object *certificatesv1.CertificateSigningRequest, request identity.Request) error {
	cluster, err := c.fleetClient.ClusterV1alpha1().Clusters().Create(ctx, &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{
			Name: request.Cluster, Annotations: map[string]string{wellknown.AnnotationRegistrationKey: request.Registration},
		},
		Spec: clusterv1alpha1.ClusterSpec{
			SyncMode: clusterv1alpha1.Pull, ID: request.ID,
			Accepted: autoAccepted(&object.Spec),
		},
	}, metav1.CreateOptions{})
	if apierrors.IsInvalid(err) {
		// Admission knows of a clash that the cache here does not show yet.
		return c.answer(ctx, nil, object, denied(ReasonIDClash, "%v", err))
	}
	if err != nil {
		return fmt.Errorf("create cluster %q: %w", request.Cluster, err)
	}
	c.recorder.Eventf(cluster, corev1.EventTypeNormal, "Registered", "Cluster with id %s and key %s asked to join, by %s",
		request.ID, request.Registration, object.Spec.Username)
	return nil
}

// answer approves or denies a request and tells in an Event.
func (c *Controller) answer(ctx context.Context, cluster *clusterv1alpha1.Cluster, object *certificatesv1.CertificateSigningRequest, v verdict) error {
	answered := object.DeepCopy()
	condition := certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: v.reason, Message: v.message,
	}
	kind := corev1.EventTypeNormal
	if v.action == deny {
		condition.Type, kind = certificatesv1.CertificateDenied, corev1.EventTypeWarning
	}
	answered.Status.Conditions = append(answered.Status.Conditions, condition)
	if _, err := c.kubeClient.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, answered.Name, answered, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("answer certificate signing request %q: %w", answered.Name, err)
	}
	klog.FromContext(ctx).V(2).Info("Answered a certificate signing request", "request", answered.Name, "answer", condition.Type, "reason", v.reason)
	if cluster != nil {
		c.recorder.Eventf(cluster, kind, v.reason, "Certificate signing request %s of %s: %s", object.Name, object.Spec.Username, v.message)
		return nil
	}
	c.recorder.Event(object, kind, v.reason, v.message)
	return nil
}

// tell writes the condition if it differs, and an Event when there is something
// to do.
func (c *Controller) tell(ctx context.Context, cached *clusterv1alpha1.Cluster, condition metav1.Condition) error {
	if !meta.SetStatusCondition(&cached.DeepCopy().Status.Conditions, condition) {
		return nil
	}
	live, err := c.fleetClient.ClusterV1alpha1().Clusters().Get(ctx, cached.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get cluster %q: %w", cached.Name, err)
	}
	if live.UID != cached.UID || !meta.SetStatusCondition(&live.Status.Conditions, condition) {
		return nil
	}
	if _, err := c.fleetClient.ClusterV1alpha1().Clusters().UpdateStatus(ctx, live, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update the status of cluster %q: %w", cached.Name, err)
	}
	if condition.Reason != ReasonAccepted {
		c.recorder.Event(live, corev1.EventTypeWarning, condition.Reason, condition.Message)
	}
	return nil
}

func (c *Controller) enqueueCluster(object any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
		c.loop.Queue.Add(key)
	}
}

func (c *Controller) enqueueRequest(object any) {
	if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = unknown.Obj
	}
	names, err := indexByClaim(object)
	if err != nil {
		return
	}
	for _, name := range names {
		c.loop.Queue.Add(name)
	}
}

// indexByClaim returns the name of the Cluster that a request asks to be, as
// long as it says it is one.
func indexByClaim(object any) ([]string, error) {
	request, ok := object.(*certificatesv1.CertificateSigningRequest)
	if !ok || request.Spec.SignerName != identity.Signer {
		return nil, nil
	}
	name, claims := identity.Claims(request.Spec.Request)
	if !claims {
		return nil, nil
	}
	return []string{name}, nil
}

func indexByID(object any) ([]string, error) {
	cluster, ok := object.(*clusterv1alpha1.Cluster)
	if !ok || cluster.Spec.ID == "" {
		return nil, nil
	}
	return []string{cluster.Spec.ID}, nil
}

func indexByWaiting(object any) ([]string, error) {
	cluster, ok := object.(*clusterv1alpha1.Cluster)
	if !ok || cluster.Spec.SyncMode != clusterv1alpha1.Pull || cluster.Spec.Accepted {
		return nil, nil
	}
	return []string{isWaiting}, nil
}
