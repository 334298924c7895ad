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

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// fieldManager owns what join writes, on both sides.
	fieldManager = "fleet-join"
	// memberTimeout is how long a member may take to remove a namespace.
	memberTimeout = 30 * time.Second
	pollPeriod    = 200 * time.Millisecond
	// inspectTimeout is how long a member may take to say what it is, or to forget
	// the fleet.
	inspectTimeout = 15 * time.Second
)

// ErrOtherFleet says that a cluster is a member of another fleet.
var ErrOtherFleet = errors.New("the cluster is a member of another fleet")

// Member is a cluster that joins or leaves, reached with an administrator's
// credentials or, to leave, with those of the fleet.
type Member struct {
	config *rest.Config
	client kubernetes.Interface
	clock  clock.PassiveClock
}

// NewMember returns the cluster behind a client configuration. It does not talk
// to it yet.
func NewMember(config *rest.Config) (*Member, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the member: %w", err)
	}
	return &Member{config: config, client: client, clock: clock.RealClock{}}, nil
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
	// Token is the syncer's.
	Token []byte
	// ImpersonatorToken is that of requests that users send through the fleet.
	ImpersonatorToken []byte
	CABundle          []byte
	// Insecure is set when the member's certificate is not to be verified.
	Insecure bool
	// ProxyURL is the proxy to the member, empty for none.
	ProxyURL string
}

// Grant gives the fleet accounts in the member and returns their credentials,
// with new tokens each time. It may be called again, and is then a renewal. role
// names a ClusterRole of the member that says what the fleet may manage;
// wellknown.SyncerName stands for SyncerRules, and an empty one leaves it as it
// is, at first SyncerRules. Grant returns ErrOtherFleet when another fleet has an
// account there.
func (m *Member) Grant(ctx context.Context, fleetID types.UID, role string) (*Credentials, error) {
	if err := m.refuseOtherFleet(ctx, fleetID); err != nil {
		return nil, err
	}
	role, err := m.chooseRole(ctx, role)
	if err != nil {
		return nil, err
	}
	owned, err := m.grantRoles(ctx, fleetID, role)
	if err != nil {
		return nil, err
	}
	if err := owned.ensureNamespace(ctx); err != nil {
		return nil, err
	}
	if err := owned.grantTokens(ctx); err != nil {
		return nil, err
	}
	token, err := owned.issueToken(ctx, wellknown.SyncerName)
	if err != nil {
		return nil, err
	}
	impersonatorToken, err := owned.issueToken(ctx, wellknown.ImpersonatorName)
	if err != nil {
		return nil, err
	}
	return m.credentials(token, impersonatorToken)
}

func (m *Member) refuseOtherFleet(ctx context.Context, fleetID types.UID) error {
	role, err := m.client.RbacV1().ClusterRoles().Get(ctx, wellknown.SyncerName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("get ClusterRole %q in the member: %w", wellknown.SyncerName, err)
	}
	if owner := role.Labels[wellknown.LabelManagedBy]; owner != string(fleetID) {
		return fmt.Errorf("%w (ClusterRole %q is labelled %s=%q, this fleet is %q): unjoin it there, or delete that ClusterRole if that fleet is gone",
			ErrOtherFleet, wellknown.SyncerName, wellknown.LabelManagedBy, owner, fleetID)
	}
	return nil
}

// credentials are the tokens with how this client itself reaches the member.
func (m *Member) credentials(token, impersonatorToken []byte) (*Credentials, error) {
	config := rest.CopyConfig(m.config)
	if err := rest.LoadTLSFiles(config); err != nil {
		return nil, fmt.Errorf("read the CA of the member: %w", err)
	}
	credentials := &Credentials{Token: token, ImpersonatorToken: impersonatorToken, CABundle: config.CAData, Insecure: config.Insecure}
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

// Revoke takes the fleet's accounts back. What was granted goes with the
// ClusterRole, by the member's garbage collection. It returns ErrOtherFleet when
// the accounts are another fleet's; without any it does nothing.
func (m *Member) Revoke(ctx context.Context, fleetID types.UID) error {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	if err := m.refuseOtherFleet(ctx, fleetID); err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	err := m.client.RbacV1().ClusterRoles().Delete(ctx, wellknown.SyncerName, metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete ClusterRole %q in the member: %w", wellknown.SyncerName, err)
	}
	return nil
}

func managedBy(fleetID types.UID) map[string]string {
	return map[string]string{wellknown.LabelManagedBy: string(fleetID)}
}

func apply() metav1.ApplyOptions {
	return metav1.ApplyOptions{FieldManager: fieldManager, Force: true}
}
