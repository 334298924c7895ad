// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package join

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	clustercontroller "fleet.dev/fleet/pkg/controllers/cluster"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/pkg/member"
)

const (
	// progressPeriod is how often Await methods look.
	progressPeriod = 250 * time.Millisecond
	// impersonatorSuffix ends the name of the Secret with the token for requests of
	// users; the rest is the name of the member.
	impersonatorSuffix = "-impersonator"
)

// Errors of Check.
var (
	// ErrNoFleet says that the API server serves no fleet.
	ErrNoFleet = errors.New("the server is not a fleet: it does not serve cluster.fleet.dev")
	// ErrNameTaken says that the name belongs to another cluster.
	ErrNameTaken = errors.New("the name belongs to another member")
	// ErrJoined says that the cluster is in the fleet under another name.
	ErrJoined = errors.New("the cluster is a member of this fleet already")
	// ErrLeaving says that the member is being unjoined.
	ErrLeaving = errors.New("the member is being unjoined")
	// ErrPull says that the member is in Pull mode.
	ErrPull = errors.New("the member is in Pull mode")
	// ErrItself says that the cluster is the fleet.
	ErrItself = errors.New("a fleet cannot join itself")
)

// Fleet is the side of the fleet.
type Fleet struct {
	kube  kubernetes.Interface
	fleet fleetclient.Interface
	clock clock.PassiveClock
}

// NewFleet returns the fleet behind two clients of one API server.
func NewFleet(kube kubernetes.Interface, fleet fleetclient.Interface) *Fleet {
	return &Fleet{kube: kube, fleet: fleet, clock: clock.RealClock{}}
}

// ID returns the identity of the fleet.
func (f *Fleet) ID(ctx context.Context) (types.UID, error) {
	return ClusterID(ctx, f.kube)
}

// Check says whether the cluster may join under the name. It is nil for one that
// has joined under this name already: joining again is a renewal.
func (f *Fleet) Check(ctx context.Context, name string, identity *Identity) error {
	fleetID, err := f.ID(ctx)
	if err != nil {
		return fmt.Errorf("identify the fleet: %w", err)
	}
	if identity.ID == fleetID {
		return fmt.Errorf("%w: --kubeconfig reaches the fleet itself, expected the cluster that is to join", ErrItself)
	}
	clusters, err := f.fleet.ClusterV1alpha1().Clusters().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the members of the fleet: %w", FleetError(err))
	}
	for i := range clusters.Items {
		if err := check(&clusters.Items[i], name, identity); err != nil {
			return err
		}
	}
	return nil
}

// check is Check against one member.
func check(cluster *clusterv1alpha1.Cluster, name string, identity *Identity) error {
	same := cluster.Spec.ID == string(identity.ID)
	switch {
	case cluster.Name != name && same:
		return fmt.Errorf("%w under the name %q: use that name to renew it, or run \"fleet unjoin %s\" first", ErrJoined, cluster.Name, cluster.Name)
	case cluster.Name != name:
		return nil
	case cluster.Spec.ID != "" && !same:
		return fmt.Errorf("%w: Cluster %q is the cluster with id %q, the one at %s has id %q; choose another name, or run \"fleet unjoin %s\" first",
			ErrNameTaken, name, cluster.Spec.ID, identity.Endpoint, identity.ID, name)
	case cluster.Spec.SyncMode == clusterv1alpha1.Pull:
		return fmt.Errorf("%w: its agent connects to the fleet; to have the fleet connect to it instead, run \"fleet unjoin %s\" first", ErrPull, name)
	case !cluster.DeletionTimestamp.IsZero():
		return fmt.Errorf("%w: wait until Cluster %q is gone, then join it again", ErrLeaving, name)
	}
	return nil
}

// FleetError makes the answer of a server that does not know Clusters, which is
// not found as for a Cluster that is not there, into ErrNoFleet. Other errors it
// returns as they are.
func FleetError(err error) error {
	if apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		return ErrNoFleet
	}
	return err
}

// Facts are what users say about a member. Empty ones leave what is there.
type Facts struct {
	Provider string
	Region   string
	Zones    []string
}

// Register makes, or renews, the Cluster and what belongs to it. The credentials
// are tried before anything is written.
func (f *Fleet) Register(ctx context.Context, name string, identity *Identity, credentials *Credentials, facts Facts) (*clusterv1alpha1.Cluster, error) {
	desired := describe(name, identity, credentials, facts)
	if err := try(ctx, desired, credentials, identity); err != nil {
		return nil, err
	}
	fleetID, err := f.ID(ctx)
	if err != nil {
		return nil, fmt.Errorf("identify the fleet: %w", err)
	}
	if err := f.ensureNamespace(ctx, clusterv1alpha1.MemberNamespace(name), fleetID); err != nil {
		return nil, err
	}
	if err := f.ensureSyncerAccess(ctx, name); err != nil {
		return nil, err
	}
	if err := f.store(ctx, fleetID, desired.Spec.SecretRef, secretData(credentials)); err != nil {
		return nil, err
	}
	if err := f.store(ctx, fleetID, desired.Spec.ImpersonatorSecretRef, impersonatorData(credentials)); err != nil {
		return nil, err
	}
	return f.ensureCluster(ctx, desired)
}

// store writes credentials to the fleet, with the time from which on they are to
// be rotated.
func (f *Fleet) store(ctx context.Context, fleetID types.UID, ref *clusterv1alpha1.LocalSecretReference, data map[string][]byte) error {
	_, err := f.kube.CoreV1().Secrets(ref.Namespace).Apply(ctx, corev1ac.Secret(ref.Name, ref.Namespace).
		WithLabels(managedBy(fleetID)).
		WithAnnotations(map[string]string{wellknown.AnnotationTokenRotated: f.clock.Now().UTC().Format(time.RFC3339)}).
		WithType(corev1.SecretTypeOpaque).
		WithData(data), apply())
	if err != nil {
		return fmt.Errorf("store the credentials in Secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	return nil
}

// ensureSyncerAccess lets the syncer read the credentials before it learns of the
// Cluster. Whoever may not do that leaves it to the cluster controller, a moment
// later.
func (f *Fleet) ensureSyncerAccess(ctx context.Context, name string) error {
	binding := clustercontroller.SyncerAccess(name)
	_, err := f.kube.RbacV1().RoleBindings(binding.Namespace).Create(ctx, binding, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) && !apierrors.IsForbidden(err) {
		return fmt.Errorf("let the syncer read the credentials in namespace %q: %w", binding.Namespace, err)
	}
	return nil
}

// describe returns the Cluster of a member in Push mode.
func describe(name string, identity *Identity, credentials *Credentials, facts Facts) *clusterv1alpha1.Cluster {
	return &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: clusterv1alpha1.ClusterSpec{
			ID:          string(identity.ID),
			SyncMode:    clusterv1alpha1.Push,
			APIEndpoint: identity.Endpoint,
			SecretRef:   &clusterv1alpha1.LocalSecretReference{Namespace: clusterv1alpha1.MemberNamespace(name), Name: name},
			ImpersonatorSecretRef: &clusterv1alpha1.LocalSecretReference{
				Namespace: clusterv1alpha1.MemberNamespace(name), Name: name + impersonatorSuffix,
			},
			InsecureSkipTLSVerification: credentials.Insecure,
			ProxyURL:                    credentials.ProxyURL,
			Provider:                    facts.Provider,
			Region:                      facts.Region,
			Zones:                       facts.Zones,
		},
	}
}

func secretData(credentials *Credentials) map[string][]byte {
	return map[string][]byte{
		wellknown.SecretKeyToken:    credentials.Token,
		wellknown.SecretKeyCABundle: credentials.CABundle,
	}
}

func impersonatorData(credentials *Credentials) map[string][]byte {
	return map[string][]byte{
		wellknown.SecretKeyToken:    credentials.ImpersonatorToken,
		wellknown.SecretKeyCABundle: credentials.CABundle,
	}
}

// try reaches the member as the syncer will.
func try(ctx context.Context, cluster *clusterv1alpha1.Cluster, credentials *Credentials, identity *Identity) error {
	config, err := member.RESTConfig(cluster, &corev1.Secret{Data: secretData(credentials)})
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client to the member: %w", err)
	}
	id, err := ClusterID(ctx, client)
	if err != nil {
		return fmt.Errorf("try the new credentials at %s: %w", cluster.Spec.APIEndpoint, err)
	}
	if id != identity.ID {
		return fmt.Errorf("try the new credentials at %s: another cluster answers, with id %q instead of %q", cluster.Spec.APIEndpoint, id, identity.ID)
	}
	return nil
}

func (f *Fleet) ensureNamespace(ctx context.Context, name string, fleetID types.UID) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: managedBy(fleetID)}}
	_, err := f.kube.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make namespace %q: %w", name, err)
	}
	return nil
}

// ensureCluster creates the Cluster or renews the fields that join knows. What
// else users wrote there stays.
func (f *Fleet) ensureCluster(ctx context.Context, desired *clusterv1alpha1.Cluster) (*clusterv1alpha1.Cluster, error) {
	clusters := f.fleet.ClusterV1alpha1().Clusters()
	var result *clusterv1alpha1.Cluster
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		current, err := clusters.Get(ctx, desired.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			result, err = clusters.Create(ctx, desired, metav1.CreateOptions{FieldManager: fieldManager})
			return err
		}
		if err != nil {
			return err
		}
		renew(&current.Spec, &desired.Spec)
		result, err = clusters.Update(ctx, current, metav1.UpdateOptions{FieldManager: fieldManager})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make Cluster %q: %w", desired.Name, FleetError(err))
	}
	return result, nil
}

func renew(current, desired *clusterv1alpha1.ClusterSpec) {
	current.ID = desired.ID
	current.SyncMode = desired.SyncMode
	current.APIEndpoint = desired.APIEndpoint
	current.SecretRef = desired.SecretRef
	current.ImpersonatorSecretRef = desired.ImpersonatorSecretRef
	current.InsecureSkipTLSVerification = desired.InsecureSkipTLSVerification
	current.ProxyURL = desired.ProxyURL
	if desired.Provider != "" {
		current.Provider = desired.Provider
	}
	if desired.Region != "" {
		current.Region = desired.Region
	}
	if len(desired.Zones) > 0 {
		current.Zones = desired.Zones
	}
}

// AwaitReady waits until the member is ready. It calls progress with what it
// waits for, whenever that changes. The error when ctx ends says what was
// missing.
func (f *Fleet) AwaitReady(ctx context.Context, name string, progress func(message string)) error {
	waiting := newWaiting(progress)
	err := wait.PollUntilContextCancel(ctx, progressPeriod, false, func(ctx context.Context) (bool, error) {
		cluster, err := f.fleet.ClusterV1alpha1().Clusters().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, err
		}
		if err != nil {
			return false, waiting.onError(ctx, err)
		}
		ready := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady)
		if ready == nil {
			waiting.on("no syncer has reported on it yet")
			return false, nil
		}
		waiting.on(fmt.Sprintf("%s: %s", ready.Reason, ready.Message))
		return ready.Status == metav1.ConditionTrue, nil
	})
	return waiting.explain(fmt.Sprintf("wait for Cluster %q to be ready", name), err)
}

// waiting remembers what a wait waits for.
type waiting struct {
	progress func(string)
	last     string
}

func newWaiting(progress func(string)) *waiting { return &waiting{progress: progress} }

// on notes what is waited for.
func (w *waiting) on(message string) {
	if message != w.last {
		w.last = message
		w.progress(message)
	}
}

// onError notes an error that may pass; it is returned if ctx has ended.
func (w *waiting) onError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.on(err.Error())
	return nil
}

// explain adds what was waited for to the error of a wait that was cut short.
func (w *waiting) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if wait.Interrupted(err) {
		return fmt.Errorf("%s: %w (last seen: %s)", what, err, w.last)
	}
	return fmt.Errorf("%s: %w", what, err)
}
