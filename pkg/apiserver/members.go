// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/transport"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/cluster"
	"fleet.dev/fleet/pkg/apiserver/members"
	registry "fleet.dev/fleet/pkg/registry/cluster/cluster"
)

// peerServerName is in the serving certificate of every API server.
const peerServerName = "kubernetes.default.svc"

// connectMembers gives proxied requests a way to members.
func (f *fleetGroups) connectMembers(server *genericapiserver.GenericAPIServer, opts CompletedOptions) error {
	client, err := kubernetes.NewForConfig(server.LoopbackClientConfig)
	if err != nil {
		return fmt.Errorf("make loopback client: %w", err)
	}
	var peers *members.Peers
	if f.peers {
		if peers, err = newPeers(server.APIServerID, client.CoordinationV1(), opts); err != nil {
			return err
		}
	}
	f.members.Connect(client.CoreV1(), peers)
	server.Handler.NonGoRestfulMux.Handle(members.TunnelsPath, members.TunnelsHandler(f.members.Tunnels))

	return server.AddPostStartHook("fleet/members", func(hook genericapiserver.PostStartHookContext) error {
		go f.members.Run(hook)
		return nil
	})
}

// newPeers returns the other API servers over the same etcd. They share the CAs
// of this one.
func newPeers(self string, leases coordinationv1client.LeasesGetter, opts CompletedOptions) (*members.Peers, error) {
	config := &transport.Config{TLS: transport.TLSConfig{
		CertFile: opts.ProxyClientCertFile, KeyFile: opts.ProxyClientKeyFile,
		CAFile: opts.PeerCAFile, ServerName: peerServerName,
	}}
	if config.TLS.CAFile == "" {
		config.TLS.CAFile = opts.PKI().CACert
	}
	plain, err := transport.New(config)
	if err != nil {
		return nil, fmt.Errorf("make transport to peers: %w", err)
	}
	config.TLS.NextProtos = []string{"http/1.1"}
	upgrade, err := transport.New(config)
	if err != nil {
		return nil, fmt.Errorf("make transport to peers: %w", err)
	}
	return members.NewPeers(members.PeersOptions{Self: self, Leases: leases, Plain: plain, Upgrade: upgrade, Clock: clock.RealClock{}}), nil
}

// longRunning adds tunnels to the requests that are not cut off after a time.
// Proxied ones are among them by the name of their subresource.
func longRunning(is request.LongRunningRequestCheck) request.LongRunningRequestCheck {
	return func(req *http.Request, info *request.RequestInfo) bool {
		return is(req, info) || info.IsResourceRequest && info.APIGroup == cluster.GroupName && info.Resource == "clusters" && info.Subresource == "tunnel"
	}
}

// withMemberRequests prepares requests that are proxied to members, behind
// authentication, authorization and audit.
func withMemberRequests(build func(http.Handler, *genericapiserver.Config) http.Handler) func(http.Handler, *genericapiserver.Config) http.Handler {
	return func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		return build(members.WithForwarded(registry.WithQueryAside(handler)), config)
	}
}
