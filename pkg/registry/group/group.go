// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package group turns the resources of one fleet group into what the API server
// installs.
package group

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
)

// Provider is a group with one version. The types are in legacyscheme, beside
// upstream's, so that one server serves both.
type Provider struct {
	GroupVersion schema.GroupVersion
	// Resources makes the storage of each resource and subresource.
	Resources func(runtime.ObjectTyper, generic.RESTOptionsGetter) (map[string]rest.Storage, error)
}

var _ controlplaneapiserver.RESTStorageProvider = Provider{}

// GroupName returns the group.
func (p Provider) GroupName() string { return p.GroupVersion.Group }

// NewRESTStorage makes the resources, unless the version was disabled with
// --runtime-config.
func (p Provider) NewRESTStorage(source serverstorage.APIResourceConfigSource, getter generic.RESTOptionsGetter) (genericapiserver.APIGroupInfo, error) {
	info := genericapiserver.NewDefaultAPIGroupInfo(p.GroupVersion.Group, legacyscheme.Scheme, legacyscheme.ParameterCodec, legacyscheme.Codecs)
	info.NegotiatedSerializer = withoutProtobuf{legacyscheme.Codecs}
	if !source.AnyResourceForGroupEnabled(p.GroupVersion.Group) {
		return info, nil
	}
	storage, err := p.Resources(legacyscheme.Scheme, getter)
	if err != nil {
		return info, err
	}
	info.VersionedResourcesStorageMap[p.GroupVersion.Version] = storage
	return info, nil
}

// withoutProtobuf negotiates everything but protobuf, which the fleet's types do
// not have. Clients that prefer it fall back to JSON.
type withoutProtobuf struct {
	runtime.NegotiatedSerializer
}

// SupportedMediaTypes implements runtime.NegotiatedSerializer.
func (s withoutProtobuf) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(s.NegotiatedSerializer.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType == runtime.ContentTypeProtobuf
	})
}
