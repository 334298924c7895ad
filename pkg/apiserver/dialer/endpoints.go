// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dialer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	discoveryv1client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
)

// Errors of a member that has the Service and nothing to connect to.
var (
	errNoEndpoints = errors.New("no Pod behind it is ready")
	errNoPods      = errors.New("what is ready behind it are not Pods of its namespace, and a member's network is reached through its Pods only")
)

// target is a port of a Pod, by its name in its member.
type target struct {
	namespace, pod string
	port           int32
}

// portOf returns the port of a Service with a number.
func portOf(service *corev1.Service, number int32) (*corev1.ServicePort, error) {
	for i := range service.Spec.Ports {
		if service.Spec.Ports[i].Port == number {
			return &service.Spec.Ports[i], nil
		}
	}
	return nil, fmt.Errorf("it has no port %d", number)
}

// targetsOf returns the ready Pods behind a port of a Service, each once.
func targetsOf(slices []discoveryv1.EndpointSlice, namespace, port string) ([]target, error) {
	var found []target
	seen, others := map[target]bool{}, false
	for i := range slices {
		number, ok := numberOf(slices[i].Ports, port)
		if !ok {
			continue
		}
		for _, endpoint := range slices[i].Endpoints {
			if ready := endpoint.Conditions.Ready; ready != nil && !*ready {
				continue
			}
			if !isPodIn(endpoint.TargetRef, namespace) {
				others = true
				continue
			}
			pod := target{namespace: namespace, pod: endpoint.TargetRef.Name, port: number}
			if !seen[pod] {
				seen[pod] = true
				found = append(found, pod)
			}
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case others:
		return nil, errNoPods
	default:
		return nil, errNoEndpoints
	}
}

// isPodIn reports whether an endpoint is a Pod of the namespace. Nobody validates what
// slices refer to, and who may write them in one namespace is to reach no Pods of
// another.
func isPodIn(ref *corev1.ObjectReference, namespace string) bool {
	return ref != nil && ref.Kind == "Pod" && (ref.Namespace == "" || ref.Namespace == namespace) &&
		len(validation.NameIsDNSSubdomain(ref.Name, false)) == 0
}

// numberOf returns the number of a port that a slice has under the name of the
// Service's.
func numberOf(ports []discoveryv1.EndpointPort, name string) (int32, bool) {
	for _, port := range ports {
		named := port.Name != nil && *port.Name == name || port.Name == nil && name == ""
		if named && port.Port != nil {
			return *port.Port, true
		}
	}
	return 0, false
}

// endpoints asks a member what is behind a Service there.
func endpoints(ctx context.Context, way Way, service types.NamespacedName) ([]discoveryv1.EndpointSlice, error) {
	client, err := discoveryv1client.NewForConfigAndClient(&rest.Config{Host: way.URL.String(), QPS: -1}, &http.Client{Transport: way.Transport})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	options := metav1.ListOptions{LabelSelector: labels.Set{discoveryv1.LabelServiceName: service.Name}.String()}
	list := &discoveryv1.EndpointSliceList{}
	// Another member is tried rather than the same one again.
	err = client.RESTClient().Get().Namespace(service.Namespace).Resource("endpointslices").VersionedParams(&options, scheme.ParameterCodec).
		MaxRetries(0).Do(ctx).Into(list)
	if err != nil {
		return nil, fmt.Errorf("list its EndpointSlices: %w", err)
	}
	return list.Items, nil
}
