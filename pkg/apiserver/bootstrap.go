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
	"k8s.io/apimachinery/pkg/types"
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
	// defaultPolicyKey is set once the default policy was created.
	defaultPolicyKey = "default-policy-created"
	// bootstrapRetry is the pause between attempts while the server comes up.
	bootstrapRetry = 500 * time.Millisecond
	// bootstrapTimeout ends the server when its own objects cannot be made.
	bootstrapTimeout = 60 * time.Second
)

// addBootstrapHooks makes the fleet's own objects exist before /readyz is ok.
func addBootstrapHooks(server *genericapiserver.GenericAPIServer, info clusterInfo) error {
	roles := &rbacrest.PolicyData{
		ClusterRoles: clusterRoles(), ClusterRoleBindings: clusterRoleBindings(), Roles: roles(), RoleBindings: roleBindings(),
	}
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
			retryUntilDone(ctx, "create FlowSchemas", func(ctx context.Context) error { return tryFlowSchemas(ctx, kube) }),
			retryUntilDone(ctx, "create ConfigMap cluster-info", func(ctx context.Context) error { return info.try(ctx, kube) }),
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

// tryFlowSchemas gives the fleet's components and the agents of members shares of
// the API server, so that users' load cannot starve them.
func tryFlowSchemas(ctx context.Context, kube kubernetes.Interface) error {
	for _, flow := range flowSchemas() {
		_, err := kube.FlowcontrolV1().FlowSchemas().Create(ctx, flow, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) { // an administrator may have edited it
			return err
		}
	}
	return nil
}

func flowSchemas() []*flowcontrolv1.FlowSchema {
	var components []flowcontrolv1.Subject
	for _, user := range []string{wellknown.UserScheduler, wellknown.UserControllerManager, wellknown.UserSyncer} {
		components = append(components, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: user}})
	}
	var agents []flowcontrolv1.Subject
	for _, group := range []string{wellknown.GroupClusters, wellknown.GroupExpiredClusters} {
		agents = append(agents, flowcontrolv1.Subject{Kind: flowcontrolv1.SubjectKindGroup, Group: &flowcontrolv1.GroupSubject{Name: group}})
	}
	return []*flowcontrolv1.FlowSchema{
		// What upstream gives kube-controller-manager.
		flowSchema("fleet-components", "workload-high", 800, components),
		// What upstream gives service accounts; one agent cannot starve another.
		flowSchema("fleet-agents", "workload-low", 900, agents),
	}
}

// flowSchema puts all requests of the subjects into a priority level, each user
// in a flow of its own.
func flowSchema(name, level string, precedence int32, subjects []flowcontrolv1.Subject) *flowcontrolv1.FlowSchema {
	all := []string{"*"}
	return &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: level},
			MatchingPrecedence:         precedence,
			DistinguisherMethod:        &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects:         subjects,
				ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: all, APIGroups: all, Resources: all, ClusterScope: true, Namespaces: all}},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: all, NonResourceURLs: all}},
			}},
		},
	}
}

// tryDefaultPolicy creates the policy that places everything without a policy of
// its own, once in the life of a fleet.
func tryDefaultPolicy(ctx context.Context, kube kubernetes.Interface, fleet fleetclient.Interface) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: wellknown.NamespaceSystem}}
	if _, err := kube.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	memory := kube.CoreV1().ConfigMaps(wellknown.NamespaceSystem)
	known, err := memory.Get(ctx, bootstrapConfigMap, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err == nil && known.Data[defaultPolicyKey] != "" {
		return nil
	}
	missing := err != nil
	if _, err := fleet.PolicyV1alpha1().ClusterPropagationPolicies().Create(ctx, defaultPolicy(), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if !missing {
		patch := fmt.Appendf(nil, `{"data":{%q:"true"}}`, defaultPolicyKey)
		_, err = memory.Patch(ctx, bootstrapConfigMap, types.MergePatchType, patch, metav1.PatchOptions{})
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
