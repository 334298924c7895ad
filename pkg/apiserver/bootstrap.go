// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

const (
	// bootstrapConfigMap remembers in wellknown.NamespaceSystem what was created
	// once, so that an administrator's deletion is not undone by a restart.
	bootstrapConfigMap = "fleet-bootstrap"
	flowSchemaName     = "fleet-components"
	// defaultPolicyKey is set once the default policy was created.
	defaultPolicyKey = "default-policy-created"
	// bootstrapRetry is the pause between attempts while the server comes up.
	bootstrapRetry = 500 * time.Millisecond
	// bootstrapTimeout ends the server when its own objects cannot be made.
	bootstrapTimeout = 60 * time.Second
)

// addBootstrapHooks makes the fleet's own objects exist before /readyz is ok.
func addBootstrapHooks(server *genericapiserver.GenericAPIServer) error {
	roles := &rbacrest.PolicyData{ClusterRoles: clusterRoles(), ClusterRoleBindings: clusterRoleBindings(), RoleBindings: roleBindings()}
	if err := server.AddPostStartHook("fleet/bootstrap-roles", roles.EnsureRBACPolicy()); err != nil {
		return err
	}
	return server.AddPostStartHook("fleet/bootstrap-objects", func(hook genericapiserver.PostStartHookContext) error {
		kube, err := kubernetes.NewForConfig(hook.LoopbackClientConfig)
		if err != nil {
			return fmt.Errorf("make loopback client: %w", err)
		}
		fleet, err := newLoopbackFleetClient(hook.LoopbackClientConfig)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(hook, bootstrapTimeout)
		defer cancel()
		return errors.Join(
			retryUntilDone(ctx, "create FlowSchema "+flowSchemaName, func(ctx context.Context) error { return tryFlowSchema(ctx, kube) }),
			retryUntilDone(ctx, "create ClusterPropagationPolicy "+wellknown.DefaultPolicyName, func(ctx context.Context) error {
				return tryDefaultPolicy(ctx, kube, fleet)
			}),
		)
	})
}

// retryUntilDone repeats what fails while the server is coming up.
func retryUntilDone(ctx context.Context, what string, try func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, bootstrapRetry, true, func(ctx context.Context) (bool, error) {
		if last = try(ctx); last != nil {
			klog.FromContext(ctx).V(2).Info("Bootstrap object not there yet", "what", what, "err", last)
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, errors.Join(err, last))
	}
	return nil
}

// tryFlowSchema gives the fleet's components the share of the API server that
// upstream gives kube-controller-manager, so that users' load cannot starve them.
func tryFlowSchema(ctx context.Context, kube kubernetes.Interface) error {
	var subjects []flowcontrolv1.Subject
	for _, user := range []string{wellknown.UserScheduler, wellknown.UserControllerManager, wellknown.UserSyncer} {
		subjects = append(subjects, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: user}})
	}
	all := []string{"*"}
	_, err := kube.FlowcontrolV1().FlowSchemas().Create(ctx, &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: flowSchemaName},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "workload-high"},
			MatchingPrecedence:         800, // as upstream's kube-controller-manager
			DistinguisherMethod:        &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects:         subjects,
				ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: all, APIGroups: all, Resources: all, ClusterScope: true, Namespaces: all}},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: all, NonResourceURLs: all}},
			}},
		},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil // an administrator may have edited it
	}
	return err
}

// tryDefaultPolicy creates the policy that places everything without a policy of
// its own, once in the life of a fleet.
func tryDefaultPolicy(ctx context.Context, kube kubernetes.Interface, fleet fleetclient.Interface) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: wellknown.NamespaceSystem}}
	if _, err := kube.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	memory := kube.CoreV1().ConfigMaps(wellknown.NamespaceSystem)
	_, err := memory.Get(ctx, bootstrapConfigMap, metav1.GetOptions{})
	if err == nil || !apierrors.IsNotFound(err) {
		return err
	}
	if _, err := fleet.PolicyV1alpha1().ClusterPropagationPolicies().Create(ctx, defaultPolicy(), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	_, err = memory.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: bootstrapConfigMap, Annotations: map[string]string{
			"kubernetes.io/description": "What the fleet created once; delete a key and restart the server to have it created again.",
		}},
		Data: map[string]string{defaultPolicyKey: "true"},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil // another server was faster
	}
	return err
}

// defaultPolicy matches everything at the lowest priority and places each kind
// as its users expect of a cluster.
func defaultPolicy() *policyv1alpha1.ClusterPropagationPolicy {
	return &policyv1alpha1.ClusterPropagationPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: wellknown.DefaultPolicyName, Annotations: map[string]string{
			"kubernetes.io/description": "Places everything that no other policy selects. Edit it, or delete it to place nothing without a policy.",
		}},
		Spec: policyv1alpha1.PropagationSpec{
			ResourceSelectors: []policyv1alpha1.ResourceSelector{{APIVersion: "*", Kind: "*"}},
			Placement:         policyv1alpha1.Placement{Auto: &policyv1alpha1.AutoPlacement{}},
		},
	}
}
