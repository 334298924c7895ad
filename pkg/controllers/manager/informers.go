// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	corev1informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// readInFull lists the resources that some controller reads beyond their
// metadata. All others are watched as metadata only, where upstream's
// controller manager would watch every native resource in full.
var readInFull = map[schema.GroupVersionResource]bool{
	{Version: "v1", Resource: "configmaps"}:                                                         true,
	{Version: "v1", Resource: "namespaces"}:                                                         true,
	{Version: "v1", Resource: "nodes"}:                                                              true, // only those stored
	{Version: "v1", Resource: "persistentvolumeclaims"}:                                             true, // quota
	{Version: "v1", Resource: "pods"}:                                                               true, // quota
	{Version: "v1", Resource: "resourcequotas"}:                                                     true,
	{Version: "v1", Resource: "secrets"}:                                                            true,
	{Version: "v1", Resource: "serviceaccounts"}:                                                    true,
	{Version: "v1", Resource: "services"}:                                                           true, // quota
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"}: true,
	{Group: "apps", Version: "v1", Resource: "controllerrevisions"}:                                 true,
	{Group: "apps", Version: "v1", Resource: "daemonsets"}:                                          true,
	{Group: "apps", Version: "v1", Resource: "deployments"}:                                         true,
	{Group: "apps", Version: "v1", Resource: "replicasets"}:                                         true,
	{Group: "apps", Version: "v1", Resource: "statefulsets"}:                                        true,
	{Group: "batch", Version: "v1", Resource: "jobs"}:                                               true,
	{Group: "certificates.k8s.io", Version: "v1", Resource: "certificatesigningrequests"}:           true,
	{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}:                               true,
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}:                   true,
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}:                   true,
	{Group: "resource.k8s.io", Version: "v1", Resource: "deviceclasses"}:                            true, // quota
	{Group: "resource.k8s.io", Version: "v1", Resource: "resourceclaims"}:                           true, // quota
}

// informerFactory serves one shared informer per resource to the controllers
// that look at every resource. It implements informerfactory.InformerFactory.
type informerFactory struct {
	typed    informers.SharedInformerFactory
	metadata metadatainformer.SharedInformerFactory
}

// newTypedInformers returns the factory of typed informers. Pods and Nodes are
// those stored in the fleet: what members have belongs to the controllers there,
// and following it would keep all of it in memory. Controllers that count the Pods of
// members have other informers, see counting.
func newTypedInformers(client kubernetes.Interface, resync time.Duration) informers.SharedInformerFactory {
	factory := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTransform(trim))
	stored := func(options *metav1.ListOptions) { options.LabelSelector = "!" + wellknown.LabelCluster }
	factory.InformerFor(&corev1.Pod{}, func(client kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
		return corev1informers.NewFilteredPodInformer(client, metav1.NamespaceAll, resync,
			cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}, stored)
	})
	factory.InformerFor(&corev1.Node{}, func(client kubernetes.Interface, resync time.Duration) cache.SharedIndexInformer {
		return corev1informers.NewFilteredNodeInformer(client, resync, cache.Indexers{}, stored)
	})
	return factory
}

// ForResource returns the typed informer of a resource that is read in full and
// a metadata informer of any other.
func (f *informerFactory) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	if readInFull[resource] {
		return f.typed.ForResource(resource)
	}
	return f.metadata.ForResource(resource), nil
}

// Start starts the informers that were asked for since the last call.
func (f *informerFactory) Start(stopCh <-chan struct{}) {
	f.typed.Start(stopCh)
	f.metadata.Start(stopCh)
}

// trim drops from an object, before it is cached, what no controller reads:
// managed fields, and the contents of Secrets and ConfigMaps except those that
// the token, bootstrap and root CA controllers maintain. Controllers write only
// what they maintain, so nothing trimmed is ever written back but managed fields,
// which the API server keeps.
func trim(obj any) (any, error) {
	if accessor, err := meta.Accessor(obj); err == nil {
		accessor.SetManagedFields(nil)
	}
	switch o := obj.(type) {
	case *corev1.Secret:
		if o.Type != corev1.SecretTypeServiceAccountToken && o.Type != bootstrapapi.SecretTypeBootstrapToken {
			o.Data = nil
		}
	case *corev1.ConfigMap:
		if o.Name != rootcacertpublisher.RootCACertConfigMapName && o.Name != bootstrapapi.ConfigMapClusterInfo {
			o.Data, o.BinaryData = nil, nil
		}
	}
	return obj, nil
}
