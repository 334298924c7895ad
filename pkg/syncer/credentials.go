// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member"
)

const (
	// DefaultRotationPeriod is the age at which the tokens for a member are
	// replaced.
	DefaultRotationPeriod = 24 * time.Hour
	// DefaultRotationOverlap is how long a token that was replaced stays valid in
	// the member. Whoever uses tokens reads them again more often than that.
	DefaultRotationOverlap = 15 * time.Minute

	// rotationRetry is the time after which a rotation that failed is tried again.
	rotationRetry = time.Minute
	// rotationLook is how long a rotation rests at most: somebody may have written
	// to the Secret.
	rotationLook = time.Hour
	// rotationJitter spreads the rotations of members that joined together.
	rotationJitter = 0.1
)

// Rotation says when the tokens by which members in Push mode are reached are
// replaced.
type Rotation struct {
	// Period is the age at which a token is replaced. 0 is never.
	Period time.Duration
	// Overlap is how long the replaced token stays valid. It must be shorter than
	// Period.
	Overlap time.Duration
}

// DefaultRotation is the rotation unless somebody says otherwise.
func DefaultRotation() Rotation {
	return Rotation{Period: DefaultRotationPeriod, Overlap: DefaultRotationOverlap}
}

// AddFlags adds the flags of the rotation.
func (r *Rotation) AddFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&r.Period, "credential-rotation-period", r.Period,
		"Age at which the tokens for a member in Push mode are replaced. 0 is never.")
	flags.DurationVar(&r.Overlap, "credential-rotation-overlap", r.Overlap,
		"How long a token that was replaced stays valid in the member; shorter than --credential-rotation-period.")
}

// Validate says what is wrong with a rotation.
func (r Rotation) Validate() error {
	switch {
	case r.Period < 0 || r.Overlap < 0:
		return fmt.Errorf("--credential-rotation-period is %s, --credential-rotation-overlap %s: neither may be negative", r.Period, r.Overlap)
	case r.Period > 0 && r.Overlap >= r.Period:
		return fmt.Errorf("--credential-rotation-period is %s, --credential-rotation-overlap %s: it must be shorter, or old tokens never go", r.Period, r.Overlap)
	}
	return nil
}

// credentials rotates the tokens by which one member is reached, that of the
// syncer and that of requests of users. Three things are written, in this order,
// and a process that ends between any two of them leaves tokens that work:
//
//  1. a Secret in the member, which its controller manager fills with a token
//  2. the Secret in the fleet, with that token, if nobody wrote to it meanwhile
//  3. when the overlap is over, the Secrets in the member with older tokens go
//
// Which token is in use is what the fleet's Secret says, and nothing else is
// remembered. A Secret of the member that is newer than the one in use, left by a
// rotation that was cut short or just made by another syncer or a join, is not
// touched before there is a still newer one in use. A token that is in no Secret of
// ours was given by hand, and is left alone.
type credentials struct {
	cluster  string
	fleetID  string
	rotation Rotation
	clock    clock.WithTicker
	// get returns the Cluster from a cache.
	get func() (*clusterv1alpha1.Cluster, error)
	// fleetSecrets are those of the fleet, memberSecrets those of the member in
	// namespace fleet-system.
	fleetSecrets  corev1client.SecretsGetter
	memberSecrets corev1client.SecretInterface
	// usable says whether requests to the member make sense.
	usable func() bool
	// try says whether a token is that of the account.
	try func(ctx context.Context, cluster *clusterv1alpha1.Cluster, secret *corev1.Secret, account string) error
	// renewed is called when the fleet's Secret has changed.
	renewed func()
}

// newCredentials adds the way to the member to what is given.
func newCredentials(given credentials, connection *member.Member) *credentials {
	given.memberSecrets = connection.Core().Secrets(wellknown.NamespaceSystem)
	given.usable = func() bool { health, _ := connection.Health(); return health.Usable }
	given.try = tryToken
	given.renewed = connection.Renew
	return &given
}

// run rotates until ctx ends.
func (c *credentials) run(ctx context.Context) {
	if c.rotation.Period == 0 {
		return
	}
	// The first look can wait: the session has more urgent things to do.
	rest := wait.Jitter(min(rotationRetry, c.rotation.Period)/2, 1)
	for {
		timer := c.clock.NewTimer(rest)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
		due, err := c.rotate(ctx)
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Tokens of member were not rotated, trying again", "cluster", c.cluster)
			due = min(rotationRetry, c.rotation.Period)
		}
		rest = wait.Jitter(min(due, rotationLook), rotationJitter)
	}
}

// rotate looks at both tokens, and returns after which time to look again.
func (c *credentials) rotate(ctx context.Context) (time.Duration, error) {
	cluster, err := c.get()
	if err != nil {
		return rotationLook, nil //nolint:nilerr // it is being deleted; the session ends soon
	}
	if !c.usable() {
		return min(rotationRetry, c.rotation.Period), nil
	}
	soonest := rotationLook
	var errs []error
	for _, held := range []struct {
		ref     *clusterv1alpha1.LocalSecretReference
		account string
	}{
		{cluster.Spec.SecretRef, wellknown.SyncerName},
		{cluster.Spec.ImpersonatorSecretRef, wellknown.ImpersonatorName},
	} {
		if held.ref == nil {
			continue
		}
		due, err := c.rotateOne(ctx, cluster, held.ref, held.account)
		if err != nil {
			errs = append(errs, fmt.Errorf("rotate the token of %s for member %q: %w", held.account, c.cluster, err))
			continue
		}
		soonest = min(soonest, due)
	}
	return soonest, errors.Join(errs...)
}

// rotateOne does what is due for one token and returns when something will be.
func (c *credentials) rotateOne(ctx context.Context, cluster *clusterv1alpha1.Cluster, ref *clusterv1alpha1.LocalSecretReference, account string) (time.Duration, error) {
	secret, err := c.fleetSecrets.Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("get Secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	issued, err := c.issued(ctx, account)
	if err != nil {
		return 0, err
	}
	current := inUse(issued, secret)
	if current == nil {
		klog.FromContext(ctx).V(4).Info("Token of member was given by hand and is not rotated", "cluster", c.cluster, "secret", klog.KObj(secret))
		return rotationLook, nil
	}
	age := c.clock.Since(rotatedAt(secret, current))
	if age >= c.rotation.Period {
		if err := c.replace(ctx, cluster, secret, current, account); err != nil {
			return 0, err
		}
		return c.rotation.Overlap, nil
	}
	if age < c.rotation.Overlap {
		return c.rotation.Overlap - age, nil
	}
	return c.rotation.Period - age, c.revokeOlder(ctx, issued, current)
}

// issued returns the Secrets of the member with tokens of an account.
func (c *credentials) issued(ctx context.Context, account string) ([]corev1.Secret, error) {
	list, err := c.memberSecrets.List(ctx, metav1.ListOptions{LabelSelector: labels.Set{wellknown.LabelManagedBy: c.fleetID}.String()})
	if err != nil {
		return nil, fmt.Errorf("list Secrets in namespace %q of the member: %w", wellknown.NamespaceSystem, err)
	}
	var issued []corev1.Secret
	for i := range list.Items {
		if s := &list.Items[i]; s.Type == corev1.SecretTypeServiceAccountToken && s.Annotations[corev1.ServiceAccountNameKey] == account {
			issued = append(issued, *s)
		}
	}
	return issued, nil
}

// inUse returns the Secret of the member whose token the fleet uses, nil when
// none is.
func inUse(issued []corev1.Secret, secret *corev1.Secret) *corev1.Secret {
	token := string(secret.Data[wellknown.SecretKeyToken])
	for i := range issued {
		if token != "" && string(issued[i].Data[corev1.ServiceAccountTokenKey]) == token {
			return &issued[i]
		}
	}
	return nil
}

// rotatedAt returns when the token came into the fleet's Secret. Members that
// joined before that was noted have the age of the token.
func rotatedAt(secret, current *corev1.Secret) time.Time {
	if at, err := time.Parse(time.RFC3339, secret.Annotations[wellknown.AnnotationTokenRotated]); err == nil {
		return at
	}
	return current.CreationTimestamp.Time
}

// replace puts a new token into the fleet's Secret.
func (c *credentials) replace(ctx context.Context, cluster *clusterv1alpha1.Cluster, secret, current *corev1.Secret, account string) error {
	var owner metav1.OwnerReference
	if len(current.OwnerReferences) > 0 {
		owner = current.OwnerReferences[0]
	}
	wanted := member.TokenSecret(account, c.fleetID, owner)
	if owner.UID == "" {
		wanted.OwnerReferences = nil
	}
	created, err := c.memberSecrets.Create(ctx, wanted, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("make a Secret for a token in the member: %w", err)
	}
	token, err := member.AwaitToken(ctx, c.memberSecrets, created.Name)
	if err != nil {
		return err
	}
	next := secret.DeepCopy()
	next.Data[wellknown.SecretKeyToken] = token
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, wellknown.AnnotationTokenRotated, c.clock.Now().UTC().Format(time.RFC3339))
	if err := c.try(ctx, cluster, next, account); err != nil {
		return fmt.Errorf("try the new token: %w", err)
	}
	// The resource version keeps what somebody wrote meanwhile.
	if _, err := c.fleetSecrets.Secrets(next.Namespace).Update(ctx, next, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("store the new token in Secret %s/%s: %w", next.Namespace, next.Name, err)
	}
	klog.FromContext(ctx).V(2).Info("Rotated token of member", "cluster", c.cluster, "account", account)
	c.renewed()
	return nil
}

// revokeOlder deletes the Secrets of the member with tokens older than the one in
// use. A newer one may be about to come into use.
func (c *credentials) revokeOlder(ctx context.Context, issued []corev1.Secret, current *corev1.Secret) error {
	for i := range issued {
		old := &issued[i]
		if !old.CreationTimestamp.Before(&current.CreationTimestamp) {
			continue
		}
		err := c.memberSecrets.Delete(ctx, old.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(old.UID))})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete Secret %s/%s of the member, whose token is not used any more: %w", wellknown.NamespaceSystem, old.Name, err)
		}
	}
	return nil
}

// tryToken asks the member whose token it is, by the way the syncer takes.
func tryToken(ctx context.Context, cluster *clusterv1alpha1.Cluster, secret *corev1.Secret, account string) error {
	config, err := member.RESTConfig(cluster, secret)
	if err != nil {
		return err
	}
	config.Timeout = requestTimeout
	client, err := authenticationv1client.NewForConfig(config)
	if err != nil {
		return err
	}
	self, err := client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if want := serviceaccount.MakeUsername(wellknown.NamespaceSystem, account); self.Status.UserInfo.Username != want {
		return fmt.Errorf("the member takes it for a token of %q, not %q", self.Status.UserInfo.Username, want)
	}
	return nil
}
