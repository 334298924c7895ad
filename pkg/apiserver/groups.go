// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	controlplaneapiserver "k8s.io/kubernetes/pkg/controlplane/apiserver"
)

func installScheme(*runtime.Scheme)             {}
func fleetGroupVersions() []schema.GroupVersion { return nil }

type fleetStorage struct{}

func newFleetStorage(context.Context, storagebackend.Config) (*fleetStorage, error) {
	return &fleetStorage{}, nil
}
func (*fleetStorage) wrap(g generic.RESTOptionsGetter) generic.RESTOptionsGetter { return g }
func (*fleetStorage) install(*controlplaneapiserver.Server) error                { return nil }
func addBootstrapHooks(*genericapiserver.GenericAPIServer) error                 { return nil }
