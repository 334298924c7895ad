// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/pkg/apiserver/admission/placementpreview"
)

// connectPlacements lets admission tell dry runs of placements. It has to come
// before admission is configured.
func connectPlacements(placements *placementpreview.Fleet, loopback *rest.Config) error {
	client, err := newLoopbackFleetClient(loopback)
	if err != nil {
		return err
	}
	placements.Connect(client)
	return nil
}

// installPlacements watches what previews of placements are made from, once a dry
// run asks for one.
func installPlacements(placements *placementpreview.Fleet, server *genericapiserver.GenericAPIServer) error {
	return server.AddPostStartHook("fleet/placement-previews", func(hook genericapiserver.PostStartHookContext) error {
		go placements.Run(hook)
		return nil
	})
}
