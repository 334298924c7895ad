// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"fleet.dev/fleet/pkg/apis/cluster"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/registry/resource"
	"fleet.dev/fleet/pkg/tunnel"
)

// TunnelREST makes the connection of an agent the tunnel of its member.
type TunnelREST struct {
	clusters getter
	tunnels  *tunnel.Registry
}

var _ rest.Connecter = &TunnelREST{}

// NewTunnelREST returns the subresource.
func NewTunnelREST(clusters *resource.REST, tunnels *tunnel.Registry) *TunnelREST {
	return &TunnelREST{clusters: clusters, tunnels: tunnels}
}

// New implements rest.Storage.
func (r *TunnelREST) New() runtime.Object { return &cluster.Cluster{} }

// Destroy implements rest.Storage; the store belongs to the resource.
func (r *TunnelREST) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (r *TunnelREST) ConnectMethods() []string { return []string{http.MethodPost} }

// NewConnectOptions implements rest.Connecter: there are none.
func (r *TunnelREST) NewConnectOptions() (options runtime.Object, subpath bool, subpathKey string) {
	return nil, false, ""
}

// Connect implements rest.Connecter. Authorization has been asked before; that a
// tunnel is its agent's alone is checked here whatever it said.
func (r *TunnelREST) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	agent, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("open tunnel of cluster %q: the request has no user", name))
	}
	member, err := get(ctx, r.clusters, name)
	if err != nil {
		return nil, err
	}
	if err := mayOpen(agent, member); err != nil {
		return nil, apierrors.NewForbidden(cluster.Resource("clusters/tunnel"), name, err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		peer := tunnel.Peer{Cluster: name}
		if req.TLS != nil && len(req.TLS.PeerCertificates) > 0 {
			peer.Expires = req.TLS.PeerCertificates[0].NotAfter
		}
		if err := r.tunnels.ServeUpgrade(w, req, peer); err != nil {
			responder.Error(err)
		}
	}), nil
}

// mayOpen returns why somebody may not open the tunnel of a member.
func mayOpen(agent user.Info, member *cluster.Cluster) error {
	switch {
	case agent.GetName() != wellknown.UserClusterPrefix+member.Name || !slices.Contains(agent.GetGroups(), wellknown.GroupClusters):
		return errors.New("only the agent of the cluster may open its tunnel")
	case member.Spec.SyncMode != cluster.Pull:
		return errors.New("the cluster is not in Pull mode")
	case !member.Spec.Accepted:
		return errors.New("the cluster is not accepted; an administrator accepts it with \"fleet accept\"")
	case agent.GetUID() != member.Spec.ID:
		return errors.New("the agent is in another cluster than the one with spec.id")
	default:
		return nil
	}
}
