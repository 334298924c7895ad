// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package join

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/version"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// AccountName names the ServiceAccount, ClusterRole and ClusterRoleBinding
	// in a member, and with TokenSuffix the Secret with the token.
	AccountName = "fleet-syncer"
	// TokenSuffix ends the name of the Secret with the token.
	TokenSuffix = "-token"

	// fieldManager owns what join writes, on both sides.
	fieldManager = "fleet-join"
	// memberTimeout is how long a member may take to fill in a token or to
	// remove a namespace.
	memberTimeout = 30 * time.Second
	pollPeriod    = 200 * time.Millisecond
	// inspectTimeout is how long a member may take to say what it is.
	inspectTimeout = 15 * time.Second
)

// ErrOtherFleet says that a cluster is a member of another fleet.
var ErrOtherFleet = errors.New("the cluster is a member of another fleet")

// Member is a cluster that joins or leaves, reached with an administrator's
// credentials or, to leave, with those of the fleet.
type Member struct {
	config *rest.Config
	client kubernetes.Interface
}

// NewMember returns the cluster behind a client configuration. It does not talk
// to it yet.
func NewMember(config *rest.Config) (*Member, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the member: %w", err)
	}
	return &Member{config: config, client: client}, nil
}

// Identity is what a cluster is.
type Identity struct {
	// ID is the uid of its namespace kube-system.
	ID types.UID
	// Version of its API server, for example v1.36.3.
	Version string
	// Endpoint is the URL of its API server.
	Endpoint string
}

// Inspect asks the cluster what it is.
func (m *Member) Inspect(ctx context.Context) (*Identity, error) {
	endpoint, _, err := rest.DefaultServerUrlFor(m.config)
	if err != nil {
		return nil, fmt.Errorf("parse the address %q of the member: %w", m.config.Host, err)
	}
	if name := m.config.ServerName; name != "" {
		return nil, fmt.Errorf("the kubeconfig verifies the member at %s as %q (tls-server-name), which a Cluster cannot say: use an address that is in the certificate", endpoint, name)
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	version, err := m.version(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the member at %s: %w", endpoint, err)
	}
	id, err := ClusterID(ctx, m.client)
	if err != nil {
		return nil, fmt.Errorf("identify the member at %s: %w", endpoint, err)
	}
	return &Identity{ID: id, Version: version.GitVersion, Endpoint: endpoint.String()}, nil
}

// version asks for the version. The discovery client's way takes no context.
func (m *Member) version(ctx context.Context) (*version.Info, error) {
	raw, err := m.client.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	info := &version.Info{}
	if err := json.Unmarshal(raw, info); err != nil {
		return nil, fmt.Errorf("read the version: %w", err)
	}
	return info, nil
}

// ClusterID returns the identity of a cluster, or of a fleet.
func ClusterID(ctx context.Context, client kubernetes.Interface) (types.UID, error) {
	namespace, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("get namespace %q: %w", metav1.NamespaceSystem, err)
	}
	return namespace.UID, nil
}

// Credentials are what a fleet reaches a member with.
type Credentials struct {
	Token    []byte
	CABundle []byte
	// Insecure is set when the member's certificate is not to be verified.
	Insecure bool
	// ProxyURL is the proxy to the member, empty for none.
	ProxyURL string
}

// Grant gives the fleet an account in the member and returns its credentials.
// It may be called again, and is then a renewal. It returns ErrOtherFleet when
// another fleet has an account there.
func (m *Member) Grant(ctx context.Context, fleetID types.UID) (*Credentials, error) {
	if err := m.refuseOtherFleet(ctx, fleetID); err != nil {
		return nil, err
	}
	root, err := m.grantRole(ctx, fleetID)
	if err != nil {
		return nil, err
	}
	if err := m.ensureNamespace(ctx, fleetID, root); err != nil {
		return nil, err
	}
	if err := m.grantAccount(ctx, fleetID, root); err != nil {
		return nil, err
	}
	token, err := m.awaitToken(ctx)
	if err != nil {
		return nil, err
	}
	return m.credentials(token)
}

func (m *Member) refuseOtherFleet(ctx context.Context, fleetID types.UID) error {
	role, err := m.client.RbacV1().ClusterRoles().Get(ctx, AccountName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get ClusterRole %q in the member: %w", AccountName, err)
	}
	if owner := role.Labels[wellknown.LabelManagedBy]; owner != string(fleetID) {
		return fmt.Errorf("%w (ClusterRole %q is labelled %s=%q, this fleet is %q): unjoin it there, or delete that ClusterRole if that fleet is gone",
			ErrOtherFleet, AccountName, wellknown.LabelManagedBy, owner, fleetID)
	}
	return nil
}

// grantRole makes the ClusterRole, which owns all else, and its binding.
func (m *Member) grantRole(ctx context.Context, fleetID types.UID) (*metav1ac.OwnerReferenceApplyConfiguration, error) {
	role, err := m.client.RbacV1().ClusterRoles().Apply(ctx, rbacv1ac.ClusterRole(AccountName).
		WithLabels(managedBy(fleetID)).
		WithRules(
			rbacv1ac.PolicyRule().WithAPIGroups("*").WithResources("*").WithVerbs("*"),
			rbacv1ac.PolicyRule().WithNonResourceURLs("*").WithVerbs("*"),
		), apply())
	if err != nil {
		return nil, fmt.Errorf("grant the fleet access to the member, which takes the rights of a cluster-admin there: apply ClusterRole %q: %w", AccountName, err)
	}
	root := metav1ac.OwnerReference().WithAPIVersion("rbac.authorization.k8s.io/v1").WithKind("ClusterRole").WithName(role.Name).WithUID(role.UID)
	_, err = m.client.RbacV1().ClusterRoleBindings().Apply(ctx, rbacv1ac.ClusterRoleBinding(AccountName).
		WithLabels(managedBy(fleetID)).
		WithOwnerReferences(root).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup("rbac.authorization.k8s.io").WithKind("ClusterRole").WithName(AccountName)).
		WithSubjects(rbacv1ac.Subject().WithKind("ServiceAccount").WithNamespace(wellknown.NamespaceSystem).WithName(AccountName)), apply())
	if err != nil {
		return nil, fmt.Errorf("grant the fleet access to the member: apply ClusterRoleBinding %q: %w", AccountName, err)
	}
	return root, nil
}

// ensureNamespace makes the namespace fleet-system. One that is there already
// and not the fleet's is shared, and stays when the member leaves; one that is
// still going, because the member left just now, is waited for.
func (m *Member) ensureNamespace(ctx context.Context, fleetID types.UID, root *metav1ac.OwnerReferenceApplyConfiguration) error {
	var existing *corev1.Namespace
	err := wait.PollUntilContextTimeout(ctx, pollPeriod, memberTimeout, true, func(ctx context.Context) (bool, error) {
		var err error
		existing, err = m.client.CoreV1().Namespaces().Get(ctx, wellknown.NamespaceSystem, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			existing = nil
			return true, nil
		}
		return err == nil && existing.DeletionTimestamp.IsZero(), err
	})
	if err != nil {
		return fmt.Errorf("wait for namespace %q in the member: %w", wellknown.NamespaceSystem, err)
	}
	if existing != nil && existing.Labels[wellknown.LabelManagedBy] != string(fleetID) {
		return nil
	}
	_, err = m.client.CoreV1().Namespaces().Apply(ctx, corev1ac.Namespace(wellknown.NamespaceSystem).
		WithLabels(managedBy(fleetID)).WithOwnerReferences(root), apply())
	if err != nil {
		return fmt.Errorf("make namespace %q in the member: %w", wellknown.NamespaceSystem, err)
	}
	return nil
}

// grantAccount makes the ServiceAccount and the Secret its token comes in.
func (m *Member) grantAccount(ctx context.Context, fleetID types.UID, root *metav1ac.OwnerReferenceApplyConfiguration) error {
	_, err := m.client.CoreV1().ServiceAccounts(wellknown.NamespaceSystem).Apply(ctx, corev1ac.ServiceAccount(AccountName, wellknown.NamespaceSystem).
		WithLabels(managedBy(fleetID)).
		WithOwnerReferences(root).
		WithAutomountServiceAccountToken(false), apply())
	if err != nil {
		return fmt.Errorf("make ServiceAccount %s/%s in the member: %w", wellknown.NamespaceSystem, AccountName, err)
	}
	name := AccountName + TokenSuffix
	_, err = m.client.CoreV1().Secrets(wellknown.NamespaceSystem).Apply(ctx, corev1ac.Secret(name, wellknown.NamespaceSystem).
		WithLabels(managedBy(fleetID)).
		WithOwnerReferences(root).
		WithAnnotations(map[string]string{corev1.ServiceAccountNameKey: AccountName}).
		WithType(corev1.SecretTypeServiceAccountToken), apply())
	if err != nil {
		return fmt.Errorf("make Secret %s/%s in the member: %w", wellknown.NamespaceSystem, name, err)
	}
	return nil
}

// awaitToken waits until the member has filled the token into its Secret.
func (m *Member) awaitToken(ctx context.Context) (token []byte, err error) {
	name := AccountName + TokenSuffix
	err = wait.PollUntilContextTimeout(ctx, pollPeriod, memberTimeout, true, func(ctx context.Context) (bool, error) {
		secret, err := m.client.CoreV1().Secrets(wellknown.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		token = secret.Data[corev1.ServiceAccountTokenKey]
		return len(token) > 0, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil, fmt.Errorf("wait %s for a token in Secret %s/%s of the member: does its controller manager run?", memberTimeout, wellknown.NamespaceSystem, name)
	}
	if err != nil {
		return nil, fmt.Errorf("get the token in Secret %s/%s of the member: %w", wellknown.NamespaceSystem, name, err)
	}
	return token, nil
}

// credentials are the token with how this client itself reaches the member.
func (m *Member) credentials(token []byte) (*Credentials, error) {
	config := rest.CopyConfig(m.config)
	if err := rest.LoadTLSFiles(config); err != nil {
		return nil, fmt.Errorf("read the CA of the member: %w", err)
	}
	credentials := &Credentials{Token: token, CABundle: config.CAData, Insecure: config.Insecure}
	if config.Proxy == nil {
		return credentials, nil
	}
	endpoint, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("parse the address %q of the member: %w", config.Host, err)
	}
	proxy, err := config.Proxy(&http.Request{URL: endpoint})
	if err != nil {
		return nil, fmt.Errorf("find the proxy to the member: %w", err)
	}
	if proxy != nil {
		credentials.ProxyURL = proxy.String()
	}
	return credentials, nil
}

// Revoke takes the fleet's account back. What was granted goes with the
// ClusterRole, by the member's garbage collection. It returns ErrOtherFleet when
// the account is another fleet's; without an account it does nothing.
func (m *Member) Revoke(ctx context.Context, fleetID types.UID) error {
	if err := m.refuseOtherFleet(ctx, fleetID); err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err := m.client.RbacV1().ClusterRoles().Delete(ctx, AccountName, metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete ClusterRole %q in the member: %w", AccountName, err)
	}
	return nil
}

func managedBy(fleetID types.UID) map[string]string {
	return map[string]string{wellknown.LabelManagedBy: string(fleetID)}
}

func apply() metav1.ApplyOptions {
	return metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
}
