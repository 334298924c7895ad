// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/informers/discovery"
	discoveryv1informers "k8s.io/client-go/informers/discovery/v1"
	"k8s.io/client-go/kubernetes"
	discoveryv1listers "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// The aggregator does not try an APIService whose Service has no EndpointSlice with a
// ready endpoint. Those of the fleet's Services are in members. So it is told that
// each Service has one, and what it finds out by dialing is what counts.

// aggregatorInformers are informers whose EndpointSlices are such ones.
type aggregatorInformers struct {
	informers.SharedInformerFactory

	slices cache.SharedIndexInformer
	start  sync.Once
}

// newAggregatorInformers returns the given informers with other EndpointSlices.
func newAggregatorInformers(others informers.SharedInformerFactory, loopback *rest.Config) (*aggregatorInformers, error) {
	client, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return nil, fmt.Errorf("make loopback client: %w", err)
	}
	services := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "services", metav1.NamespaceAll, fields.Everything())
	slices := cache.NewSharedIndexInformer(services, &corev1.Service{}, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	if err := slices.SetTransform(presumedEndpoints); err != nil {
		return nil, err
	}
	return &aggregatorInformers{SharedInformerFactory: others, slices: slices}, nil
}

// presumedEndpoints makes of a Service an EndpointSlice with an endpoint for each of
// its ports.
func presumedEndpoints(object any) (any, error) {
	service, ok := object.(*corev1.Service)
	if !ok {
		return object, nil
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name, UID: service.UID, ResourceVersion: service.ResourceVersion,
			Labels: map[string]string{discoveryv1.LabelServiceName: service.Name},
		},
		Endpoints: []discoveryv1.Endpoint{{}},
	}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: new(port.Name), Port: new(port.Port)})
	}
	return slice, nil
}

// Start implements informers.SharedInformerFactory.
func (i *aggregatorInformers) Start(stop <-chan struct{}) {
	i.SharedInformerFactory.Start(stop)
	i.start.Do(func() { go i.slices.Run(stop) })
}

// Discovery implements informers.SharedInformerFactory.
func (i *aggregatorInformers) Discovery() discovery.Interface {
	return presumedDiscovery{Interface: i.SharedInformerFactory.Discovery(), slices: i.slices}
}

// presumedDiscovery is the group of EndpointSlices.
type presumedDiscovery struct {
	discovery.Interface

	slices cache.SharedIndexInformer
}

// V1 implements discovery.Interface.
func (d presumedDiscovery) V1() discoveryv1informers.Interface {
	return presumedSlices{Interface: d.Interface.V1(), slices: d.slices}
}

// presumedSlices are the EndpointSlices themselves.
type presumedSlices struct {
	discoveryv1informers.Interface

	slices cache.SharedIndexInformer
}

// EndpointSlices implements discoveryv1informers.Interface.
func (s presumedSlices) EndpointSlices() discoveryv1informers.EndpointSliceInformer { return s }

// Informer implements discoveryv1informers.EndpointSliceInformer.
func (s presumedSlices) Informer() cache.SharedIndexInformer { return s.slices }

// Lister implements discoveryv1informers.EndpointSliceInformer.
func (s presumedSlices) Lister() discoveryv1listers.EndpointSliceLister {
	return discoveryv1listers.NewEndpointSliceLister(s.slices.GetIndexer())
}
