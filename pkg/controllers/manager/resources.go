// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	pluginvalidatingadmissionpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	quotageneric "k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	namespacecontroller "k8s.io/kubernetes/pkg/controller/namespace"
	resourcequotacontroller "k8s.io/kubernetes/pkg/controller/resourcequota"
	"k8s.io/kubernetes/pkg/controller/ttlafterfinished"
	"k8s.io/kubernetes/pkg/controller/validatingadmissionpolicystatus"
	quotainstall "k8s.io/kubernetes/pkg/quota/v1/install"
)

// discoveryPeriod is how often garbage collection and quota look for resources
// that came or went, as upstream.
const discoveryPeriod = 30 * time.Second

// derived lists the resources that are served but not stored. Nothing may
// delete or count them.
var derived = map[schema.GroupResource]struct{}{
	{Group: "work.fleet.dev", Resource: "works"}:         {},
	{Group: "work.fleet.dev", Resource: "workfeedbacks"}: {},
}

// unowned lists stored resources that garbage collection leaves alone. A
// binding outlives its template until every member has confirmed the deletion,
// whatever owner someone writes into it.
var unowned = map[schema.GroupResource]struct{}{
	{Group: "work.fleet.dev", Resource: "resourcebindings"}:        {},
	{Group: "work.fleet.dev", Resource: "clusterresourcebindings"}: {},
}

// ignored returns the union of sets of resources.
func ignored(sets ...map[schema.GroupResource]struct{}) map[schema.GroupResource]struct{} {
	union := map[schema.GroupResource]struct{}{}
	for _, set := range sets {
		maps.Copy(union, set)
	}
	return union
}

// newNamespace empties and finalizes deleted namespaces. Works cannot be
// deleted, which discovery says, so it skips them; a binding that members still
// hold objects of refuses deletion with a conflict, which it retries with a
// backoff of up to a minute, the message standing in the namespace's condition.
func newNamespace(ctx context.Context, d *dependencies) (loop, error) {
	// Upstream's factors: it lists and deletes in every resource of a namespace.
	config := d.clientConfig("namespace-controller")
	config.QPS *= 20
	config.Burst *= 100
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the client of the namespace controller: %w", err)
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the metadata client of the namespace controller: %w", err)
	}
	nc := namespacecontroller.NewNamespaceController(ctx, client, metadataClient,
		client.Discovery().ServerPreferredNamespacedResources, d.informers.typed.Core().V1().Namespaces(),
		d.kube.NamespaceController.NamespaceSyncPeriod.Duration, corev1.FinalizerKubernetes)
	return func(ctx context.Context) { nc.Run(ctx, int(d.kube.NamespaceController.ConcurrentNamespaceSyncs)) }, nil
}

// newGarbageCollector deletes what has lost its owners, over all resources that
// can be listed, watched and deleted.
func newGarbageCollector(ctx context.Context, d *dependencies) (loop, error) {
	config := d.kube.GarbageCollectorController
	if !config.EnableGarbageCollector {
		return nil, nil
	}
	// Upstream's factor: each deletion is a get and a delete.
	clientConfig := d.clientConfig("generic-garbage-collector")
	clientConfig.QPS *= 2
	metadataClient, err := metadata.NewForConfig(clientConfig)
	if err != nil {
		return nil, fmt.Errorf("make the metadata client of the garbage collector: %w", err)
	}
	gc, err := garbagecollector.NewGarbageCollector(ctx, d.client, metadataClient, d.mapper,
		ignored(garbagecollector.DefaultIgnoredResources(), derived, unowned), d.informers, d.started)
	if err != nil {
		return nil, err
	}
	return together(
		func(ctx context.Context) { gc.Run(ctx, int(config.ConcurrentGCSyncs), discoveryPeriod) },
		func(ctx context.Context) { gc.Sync(ctx, d.client.Discovery(), discoveryPeriod) },
	), nil
}

// newResourceQuota recalculates the status of ResourceQuotas from when there is one.
// Pods are counted wherever they are.
func newResourceQuota(_ context.Context, d *dependencies) (loop, error) {
	return d.fromTheFirst(d.informers.typed.Core().V1().ResourceQuotas().Informer(), d.resourceQuota)
}

func (d *dependencies) resourceQuota(ctx context.Context) (loop, error) {
	all := countingFactory{InformerFactory: d.informers, counting: d.counting}
	configuration, err := quotainstall.NewQuotaConfigurationForControllers(quotageneric.ListerFuncForResourceFunc(all.ForResource), d.informers.typed)
	if err != nil {
		return nil, err
	}
	config := d.kube.ResourceQuotaController
	discoverFunc := d.client.Discovery().ServerPreferredNamespacedResources
	rq, err := resourcequotacontroller.NewController(ctx, &resourcequotacontroller.ControllerOptions{
		QuotaClient:               d.client.CoreV1(),
		ResourceQuotaInformer:     d.informers.typed.Core().V1().ResourceQuotas(),
		ResyncPeriod:              controller.StaticResyncPeriodFunc(config.ResourceQuotaSyncPeriod.Duration),
		InformerFactory:           all,
		ReplenishmentResyncPeriod: d.resync,
		DiscoveryFunc:             discoverFunc,
		IgnoredResourcesFunc: func() map[schema.GroupResource]struct{} {
			return ignored(configuration.IgnoredResources(), derived)
		},
		InformersStarted: d.started,
		Registry:         quotageneric.NewRegistry(configuration.Evaluators()),
		UpdateFilter:     quotainstall.DefaultUpdateFilter(),
	})
	if err != nil {
		return nil, err
	}
	return together(
		func(ctx context.Context) { rq.Run(ctx, int(config.ConcurrentResourceQuotaSyncs)) },
		func(ctx context.Context) { rq.Sync(ctx, discoverFunc, discoveryPeriod) },
	), nil
}

// newClusterRoleAggregation fills aggregated ClusterRoles.
func newClusterRoleAggregation(_ context.Context, d *dependencies) (loop, error) {
	aggregation := clusterroleaggregation.NewClusterRoleAggregation(d.informers.typed.Rbac().V1().ClusterRoles(), d.client.RbacV1())
	return func(ctx context.Context) { aggregation.Run(ctx, 1) }, nil
}

// newTTLAfterFinished deletes Jobs some time after they finished; the status it
// goes by is the rollup of the members' Jobs.
func newTTLAfterFinished(ctx context.Context, d *dependencies) (loop, error) {
	ttl := ttlafterfinished.New(ctx, d.informers.typed.Batch().V1().Jobs(), d.client)
	return func(ctx context.Context) { ttl.Run(ctx, int(d.kube.TTLAfterFinishedController.ConcurrentTTLSyncs)) }, nil
}

// newAdmissionPolicyStatus type-checks ValidatingAdmissionPolicies. Unlike
// upstream it resolves schemas by discovery alone, when a policy asks, instead
// of holding the definitions of all native kinds in memory.
func newAdmissionPolicyStatus(_ context.Context, d *dependencies) (loop, error) {
	checker := &pluginvalidatingadmissionpolicy.TypeChecker{
		SchemaResolver: &resolver.ClientDiscoveryResolver{Discovery: d.client.Discovery()},
		RestMapper:     d.mapper,
	}
	status, err := validatingadmissionpolicystatus.NewController(d.informers.typed.Admissionregistration().V1().ValidatingAdmissionPolicies(),
		d.client.AdmissionregistrationV1().ValidatingAdmissionPolicies(), checker)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) {
		status.Run(ctx, int(d.kube.ValidatingAdmissionPolicyStatusController.ConcurrentPolicySyncs))
	}, nil
}
