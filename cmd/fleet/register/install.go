// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"fleet.dev/fleet/cmd/fleet/join"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// fieldManager owns what is written to the member.
	fieldManager = "fleet-register"
	// goneTimeout is how long a namespace of an earlier installation may take to
	// go.
	goneTimeout = 30 * time.Second
)

// Errors of Install.
var (
	// ErrOtherFleet says that the cluster is a member of another fleet.
	ErrOtherFleet = errors.New("the cluster is a member of another fleet")
	// ErrMember says that the cluster is a member already, in another way.
	ErrMember = errors.New("the cluster is a member of a fleet already")
)

// Member is a cluster that is to join, reached with an administrator's
// credentials.
type Member struct {
	config  *rest.Config
	client  kubernetes.Interface
	objects dynamic.Interface
}

// NewMember returns the cluster behind a client configuration. It does not talk
// to it yet.
func NewMember(config *rest.Config) (*Member, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the member: %w", err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the member: %w", err)
	}
	return &Member{config: config, client: client, objects: objects}, nil
}

// Identity is what a cluster is.
type Identity struct {
	// ID is the uid of its namespace kube-system.
	ID types.UID
	// Endpoint is the URL of its API server, as this process reaches it.
	Endpoint string
}

// Inspect asks the cluster what it is.
func (m *Member) Inspect(ctx context.Context) (*Identity, error) {
	endpoint, _, err := rest.DefaultServerUrlFor(m.config)
	if err != nil {
		return nil, fmt.Errorf("parse the address %q of the member: %w", m.config.Host, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	id, err := join.ClusterID(ctx, m.client)
	if err != nil {
		return nil, fmt.Errorf("reach the member at %s: %w", endpoint, err)
	}
	return &Identity{ID: id, Endpoint: endpoint.String()}, nil
}

// Install gives the member an agent, or renews the one it has. Without
// deployment, the agent is run by other means.
func (m *Member) Install(ctx context.Context, i Installation, deployment bool) error {
	if err := m.refuse(ctx, i); err != nil {
		return err
	}
	secret, err := i.secret()
	if err != nil {
		return err
	}
	root, err := m.apply(ctx, i.role(), nil)
	if err != nil {
		return fmt.Errorf("install the agent, which takes the rights of a cluster-admin in the member: %w", err)
	}
	if err := m.ensureNamespace(ctx, root); err != nil {
		return err
	}
	parts := []runtime.Object{binding(), projectionRole(), projectionBinding(), account()}
	if deployment {
		parts = append(parts, i.deployment())
	}
	// The Secret first: an agent that is there already reads it.
	if err := m.renewSecret(ctx, secret, root); err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := m.apply(ctx, part, root); err != nil {
			return err
		}
	}
	return nil
}

// refuse returns an error for a cluster that is a member in another way.
func (m *Member) refuse(ctx context.Context, i Installation) error {
	pushed, err := m.role(ctx, wellknown.SyncerName)
	if err != nil {
		return err
	}
	if pushed != nil {
		return fmt.Errorf("%w in Push mode (ClusterRole %q, %s=%q): unjoin it there, or delete that ClusterRole if that fleet is gone",
			ErrMember, pushed.Name, wellknown.LabelManagedBy, pushed.Labels[wellknown.LabelManagedBy])
	}
	pulled, err := m.role(ctx, wellknown.AgentName)
	if err != nil || pulled == nil {
		return err
	}
	name, ca := pulled.Annotations[wellknown.AnnotationClusterName], pulled.Annotations[wellknown.AnnotationFleetCA]
	switch {
	case ca != i.Fleet.CAHash:
		return fmt.Errorf("%w, as %q (its CA is %s, that of %s is %s): unjoin it there, or delete ClusterRole %q if that fleet is gone",
			ErrOtherFleet, name, ca, i.Fleet.Server, i.Fleet.CAHash, pulled.Name)
	case name != i.Cluster:
		return fmt.Errorf("%w under the name %q: use that name to renew it, or run \"fleet unjoin %s\" first", ErrMember, name, name)
	}
	return nil
}

// role returns nil when there is no such ClusterRole.
func (m *Member) role(ctx context.Context, name string) (*rbacv1.ClusterRole, error) {
	role, err := m.client.RbacV1().ClusterRoles().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get ClusterRole %q in the member: %w", name, err)
	}
	return role, nil
}

// resources are the kinds of an installation.
var resources = map[string]schema.GroupVersionResource{
	"Namespace":          {Version: "v1", Resource: "namespaces"},
	"ServiceAccount":     {Version: "v1", Resource: "serviceaccounts"},
	"ClusterRole":        {Group: rbacv1.GroupName, Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding": {Group: rbacv1.GroupName, Version: "v1", Resource: "clusterrolebindings"},
	"Deployment":         {Group: "apps", Version: "v1", Resource: "deployments"},
}

// apply makes an object as it should be and returns an owner reference to it.
func (m *Member) apply(ctx context.Context, object runtime.Object, root *metav1.OwnerReference) (*metav1.OwnerReference, error) {
	desired, err := bared(object)
	if err != nil {
		return nil, err
	}
	if root != nil {
		desired.SetOwnerReferences([]metav1.OwnerReference{*root})
	}
	applied, err := m.objects.Resource(resources[desired.GetKind()]).Namespace(desired.GetNamespace()).
		Apply(ctx, desired.GetName(), desired, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return nil, fmt.Errorf("apply %s %q in the member: %w", desired.GetKind(), desired.GetName(), err)
	}
	return &metav1.OwnerReference{
		APIVersion: applied.GetAPIVersion(), Kind: applied.GetKind(), Name: applied.GetName(), UID: applied.GetUID(),
	}, nil
}

// ensureNamespace makes the namespace of the agent. One that is there already is
// shared, and stays when the member leaves; one that is still going, because the
// member left just now, is waited for.
func (m *Member) ensureNamespace(ctx context.Context, root *metav1.OwnerReference) error {
	var existing *corev1.Namespace
	err := wait.PollUntilContextTimeout(ctx, pollPeriod, goneTimeout, true, func(ctx context.Context) (bool, error) {
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
	if existing != nil && existing.Labels[wellknown.LabelApp] != wellknown.AgentName {
		return nil
	}
	_, err = m.apply(ctx, namespace(), root)
	return err
}

// renewSecret replaces all the agent's credentials.
func (m *Member) renewSecret(ctx context.Context, desired *corev1.Secret, root *metav1.OwnerReference) error {
	desired.OwnerReferences = []metav1.OwnerReference{*root}
	secrets := m.client.CoreV1().Secrets(desired.Namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		existing, err := secrets.Get(ctx, desired.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = secrets.Create(ctx, desired, metav1.CreateOptions{FieldManager: fieldManager})
			return err
		}
		if err != nil {
			return err
		}
		renewed := desired.DeepCopy()
		renewed.ResourceVersion, renewed.Type = existing.ResourceVersion, existing.Type
		_, err = secrets.Update(ctx, renewed, metav1.UpdateOptions{FieldManager: fieldManager})
		return err
	})
	if err != nil {
		return fmt.Errorf("make Secret %s/%s in the member: %w", desired.Namespace, desired.Name, err)
	}
	return nil
}
