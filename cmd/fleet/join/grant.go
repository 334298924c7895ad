// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package join

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member"
)

// managedName names the ClusterRoleBinding of the syncer to a ClusterRole of the
// member that says what the fleet may manage.
const managedName = wellknown.SyncerName + "-managed"

// chooseRole returns the ClusterRole that says what the fleet may manage: the one
// asked for, else the one of an earlier join.
func (m *Member) chooseRole(ctx context.Context, role string) (string, error) {
	if role == "" {
		bound, err := m.client.RbacV1().ClusterRoleBindings().Get(ctx, managedName, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return wellknown.SyncerName, nil
		case err != nil:
			return "", fmt.Errorf("get ClusterRoleBinding %q in the member: %w", managedName, err)
		}
		role = bound.RoleRef.Name
	}
	if role == wellknown.SyncerName {
		return role, nil
	}
	if _, err := m.client.RbacV1().ClusterRoles().Get(ctx, role, metav1.GetOptions{}); err != nil {
		return "", fmt.Errorf("let the fleet manage what ClusterRole %q of the member allows: %w", role, err)
	}
	return role, nil
}

// owned is what belongs to the fleet's ClusterRole in a member, and goes with it.
type owned struct {
	*Member
	fleetID types.UID
	root    *metav1ac.OwnerReferenceApplyConfiguration
}

// grantRoles makes the ClusterRole that owns all else, and the roles and bindings
// of both accounts.
func (m *Member) grantRoles(ctx context.Context, fleetID types.UID, managed string) (*owned, error) {
	rules := SyncerRules()
	if managed != wellknown.SyncerName {
		rules = NarrowRules()
	}
	role, err := m.client.RbacV1().ClusterRoles().Apply(ctx, rbacv1ac.ClusterRole(wellknown.SyncerName).
		WithLabels(managedBy(fleetID)).
		WithAnnotations(map[string]string{wellknown.AnnotationJoined: m.clock.Now().UTC().Format(time.RFC3339Nano)}).
		WithRules(configured(rules)...), apply())
	if err != nil {
		return nil, fmt.Errorf("grant the fleet access to the member, which takes the rights of a cluster-admin there: apply ClusterRole %q: %w", wellknown.SyncerName, err)
	}
	o := &owned{
		Member: m, fleetID: fleetID,
		root: metav1ac.OwnerReference().WithAPIVersion(rbacv1.SchemeGroupVersion.String()).WithKind("ClusterRole").WithName(role.Name).WithUID(role.UID),
	}
	if err := o.bind(ctx, wellknown.SyncerName, wellknown.SyncerName, wellknown.SyncerName); err != nil {
		return nil, err
	}
	if err := o.bindManaged(ctx, managed); err != nil {
		return nil, err
	}
	_, err = m.client.RbacV1().ClusterRoles().Apply(ctx, rbacv1ac.ClusterRole(wellknown.ImpersonatorName).
		WithLabels(managedBy(fleetID)).
		WithOwnerReferences(o.root).
		WithRules(configured(ImpersonatorRules())...), apply())
	if err != nil {
		return nil, fmt.Errorf("let users of the fleet reach the member: apply ClusterRole %q: %w", wellknown.ImpersonatorName, err)
	}
	if err := o.bind(ctx, wellknown.ImpersonatorName, wellknown.ImpersonatorName, wellknown.ImpersonatorName); err != nil {
		return nil, err
	}
	return o, o.grantProjections(ctx, managed)
}

// grantProjections lets the fleet show what runs in the member. A member that
// narrows what the fleet may manage binds the ClusterRole itself if it wants that.
func (o *owned) grantProjections(ctx context.Context, managed string) error {
	rbac := o.client.RbacV1()
	_, err := rbac.ClusterRoles().Apply(ctx, rbacv1ac.ClusterRole(wellknown.ProjectionsName).
		WithLabels(managedBy(o.fleetID)).
		WithOwnerReferences(o.root).
		WithRules(configured(ProjectionRules())...), apply())
	if err != nil {
		return fmt.Errorf("let the fleet show what runs in the member: apply ClusterRole %q: %w", wellknown.ProjectionsName, err)
	}
	if managed != wellknown.SyncerName {
		err := rbac.ClusterRoleBindings().Delete(ctx, wellknown.ProjectionsName, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("narrow the rights of the fleet: delete ClusterRoleBinding %q: %w", wellknown.ProjectionsName, err)
		}
		return nil
	}
	who := ProjectionSubject()
	return o.bindTo(ctx, wellknown.ProjectionsName, wellknown.ProjectionsName, rbacv1ac.Subject().WithAPIGroup(who.APIGroup).WithKind(who.Kind).WithName(who.Name))
}

// bindManaged binds the syncer to the ClusterRole that says what the fleet may
// manage, beside its own. What a binding refers to cannot be changed.
func (o *owned) bindManaged(ctx context.Context, role string) error {
	bindings := o.client.RbacV1().ClusterRoleBindings()
	existing, err := bindings.Get(ctx, managedName, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get ClusterRoleBinding %q in the member: %w", managedName, err)
	}
	if err == nil && existing.RoleRef.Name != role {
		if err := bindings.Delete(ctx, managedName, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("bind the fleet to another ClusterRole of the member: delete ClusterRoleBinding %q: %w", managedName, err)
		}
	}
	if role == wellknown.SyncerName {
		return nil
	}
	return o.bind(ctx, managedName, role, wellknown.SyncerName)
}

// bind gives an account a ClusterRole.
func (o *owned) bind(ctx context.Context, name, role, account string) error {
	return o.bindTo(ctx, name, role, subject(account))
}

func (o *owned) bindTo(ctx context.Context, name, role string, who *rbacv1ac.SubjectApplyConfiguration) error {
	_, err := o.client.RbacV1().ClusterRoleBindings().Apply(ctx, rbacv1ac.ClusterRoleBinding(name).
		WithLabels(managedBy(o.fleetID)).
		WithOwnerReferences(o.root).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(role)).
		WithSubjects(who), apply())
	if err != nil {
		return fmt.Errorf("grant the fleet access to the member: apply ClusterRoleBinding %q: %w", name, err)
	}
	return nil
}

func subject(account string) *rbacv1ac.SubjectApplyConfiguration {
	return rbacv1ac.Subject().WithKind(rbacv1.ServiceAccountKind).WithNamespace(wellknown.NamespaceSystem).WithName(account)
}

func configured(rules []rbacv1.PolicyRule) []*rbacv1ac.PolicyRuleApplyConfiguration {
	all := make([]*rbacv1ac.PolicyRuleApplyConfiguration, 0, len(rules))
	for i := range rules {
		all = append(all, rbacv1ac.PolicyRule().
			WithAPIGroups(rules[i].APIGroups...).WithResources(rules[i].Resources...).WithResourceNames(rules[i].ResourceNames...).
			WithNonResourceURLs(rules[i].NonResourceURLs...).WithVerbs(rules[i].Verbs...))
	}
	return all
}

// ensureNamespace makes the namespace fleet-system. One that is there already
// and not the fleet's is shared, and stays when the member leaves; one that is
// still going, because the member left just now, is waited for.
func (o *owned) ensureNamespace(ctx context.Context) error {
	var existing *corev1.Namespace
	err := wait.PollUntilContextTimeout(ctx, pollPeriod, memberTimeout, true, func(ctx context.Context) (bool, error) {
		var err error
		existing, err = o.client.CoreV1().Namespaces().Get(ctx, wellknown.NamespaceSystem, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			existing = nil
			return true, nil
		}
		return err == nil && existing.DeletionTimestamp.IsZero(), err
	})
	if err != nil {
		return fmt.Errorf("wait for namespace %q in the member: %w", wellknown.NamespaceSystem, err)
	}
	if existing != nil && existing.Labels[wellknown.LabelManagedBy] != string(o.fleetID) {
		return nil
	}
	_, err = o.client.CoreV1().Namespaces().Apply(ctx, corev1ac.Namespace(wellknown.NamespaceSystem).
		WithLabels(managedBy(o.fleetID)).WithOwnerReferences(o.root), apply())
	if err != nil {
		return fmt.Errorf("make namespace %q in the member: %w", wellknown.NamespaceSystem, err)
	}
	return nil
}

// grantTokens makes the ServiceAccounts, and the Role by which the syncer rotates
// the tokens of both.
func (o *owned) grantTokens(ctx context.Context) error {
	for _, account := range []string{wellknown.SyncerName, wellknown.ImpersonatorName} {
		_, err := o.client.CoreV1().ServiceAccounts(wellknown.NamespaceSystem).Apply(ctx, corev1ac.ServiceAccount(account, wellknown.NamespaceSystem).
			WithLabels(managedBy(o.fleetID)).
			WithOwnerReferences(o.root).
			WithAutomountServiceAccountToken(false), apply())
		if err != nil {
			return fmt.Errorf("make ServiceAccount %s/%s in the member: %w", wellknown.NamespaceSystem, account, err)
		}
	}
	_, err := o.client.RbacV1().Roles(wellknown.NamespaceSystem).Apply(ctx, rbacv1ac.Role(wellknown.SyncerName, wellknown.NamespaceSystem).
		WithLabels(managedBy(o.fleetID)).
		WithOwnerReferences(o.root).
		WithRules(configured(TokenRules())...), apply())
	if err != nil {
		return fmt.Errorf("let the fleet rotate its tokens in the member: apply Role %q: %w", wellknown.SyncerName, err)
	}
	_, err = o.client.RbacV1().RoleBindings(wellknown.NamespaceSystem).Apply(ctx, rbacv1ac.RoleBinding(wellknown.SyncerName, wellknown.NamespaceSystem).
		WithLabels(managedBy(o.fleetID)).
		WithOwnerReferences(o.root).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("Role").WithName(wellknown.SyncerName)).
		WithSubjects(subject(wellknown.SyncerName)), apply())
	if err != nil {
		return fmt.Errorf("let the fleet rotate its tokens in the member: apply RoleBinding %q: %w", wellknown.SyncerName, err)
	}
	return nil
}

// issueToken makes a token of an account, as the syncer does when it rotates them:
// one in a Secret of its own, so that none that is in use is touched. The syncer
// removes those that are not.
func (o *owned) issueToken(ctx context.Context, account string) ([]byte, error) {
	secrets := o.client.CoreV1().Secrets(wellknown.NamespaceSystem)
	issued, err := secrets.Create(ctx, member.TokenSecret(account, string(o.fleetID), metav1.OwnerReference{
		APIVersion: *o.root.APIVersion, Kind: *o.root.Kind, Name: *o.root.Name, UID: *o.root.UID,
	}), metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return nil, fmt.Errorf("make a Secret for a token of ServiceAccount %s/%s in the member: %w", wellknown.NamespaceSystem, account, err)
	}
	return member.AwaitToken(ctx, secrets, issued.Name)
}
