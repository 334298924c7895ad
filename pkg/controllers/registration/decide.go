// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package registration

import (
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Reasons of decisions on requests. They are reasons of the condition of a
// CertificateSigningRequest and of Events.
const (
	// ReasonApproved says that a request was granted.
	ReasonApproved = "FleetClusterApproved"
	// ReasonInvalidRequest says that a request is not of the one allowed shape.
	ReasonInvalidRequest = "InvalidRequest"
	// ReasonRequester says that who asks may not ask for this.
	ReasonRequester = "RequesterNotAllowed"
	// ReasonIdentityMismatch says that the name belongs to another cluster.
	ReasonIdentityMismatch = "IdentityMismatch"
	// ReasonIDClash says that the cluster is in the fleet under another name.
	ReasonIDClash = "ClusterIDClash"
	// ReasonMode says that the fleet connects to the cluster, and not the reverse.
	ReasonMode = "ClusterNotPull"
	// ReasonNotInFleet says that the agent's Cluster is gone.
	ReasonNotInFleet = "ClusterNotInFleet"
	// ReasonReplaced says that the cluster has been registered with another key
	// since.
	ReasonReplaced = "RegistrationReplaced"
)

// action is what is done about a request.
type action int

const (
	// leave keeps it pending.
	leave action = iota
	approve
	deny
	// create makes the Cluster; the request is looked at again after that.
	create
)

// verdict is the decision on one request.
type verdict struct {
	action          action
	reason, message string
}

func denied(reason, format string, args ...any) verdict {
	return verdict{deny, reason, fmt.Sprintf(format, args...)}
}

// decide says what to do about a well-formed request. known is the Cluster of
// that name, nil if there is none; sameID names another Cluster with the id that
// the request says, empty if there is none.
func decide(spec *certificatesv1.CertificateSigningRequestSpec, request identity.Request, known *clusterv1alpha1.Cluster, sameID string) verdict {
	switch {
	case spec.Username == request.User():
		return decideRenewal(spec, request, known)
	case byBootstrapToken(spec):
		return decideRegistration(spec, request, known, sameID)
	}
	return denied(ReasonRequester, "user %q may not ask for the certificate of cluster %q: it takes a token of \"fleet token create\", or that certificate", spec.Username, request.Cluster)
}

func byBootstrapToken(spec *certificatesv1.CertificateSigningRequestSpec) bool {
	return strings.HasPrefix(spec.Username, bootstrapapi.BootstrapUserPrefix) && slices.Contains(spec.Groups, wellknown.GroupAgentBootstrappers)
}

func decideRegistration(spec *certificatesv1.CertificateSigningRequestSpec, request identity.Request, known *clusterv1alpha1.Cluster, sameID string) verdict {
	switch {
	case request.Registration != request.Key:
		return denied(ReasonInvalidRequest, "the registration has to be the fingerprint of the requested key, %s", request.Key)
	case known == nil && sameID != "":
		return denied(ReasonIDClash, "this cluster is in the fleet as %q already; unjoin that first, or go on using it", sameID)
	case known == nil:
		return verdict{action: create}
	case known.Spec.SyncMode != clusterv1alpha1.Pull:
		return denied(ReasonMode, "cluster %q is in mode %s; register under another name, or unjoin that first", known.Name, known.Spec.SyncMode)
	case known.Spec.ID != "" && known.Spec.ID != request.ID:
		return denied(ReasonIdentityMismatch, "the name %q belongs to another cluster, with id %q; register under another name, or unjoin that first", known.Name, known.Spec.ID)
	case !known.Spec.Accepted || known.Spec.ID == "" || known.Annotations[wellknown.AnnotationRegistrationKey] != request.Registration:
		return verdict{action: leave}
	}
	return approved(spec, request)
}

func decideRenewal(spec *certificatesv1.CertificateSigningRequestSpec, request identity.Request, known *clusterv1alpha1.Cluster) verdict {
	registration := spec.Extra[wellknown.ExtraRegistration]
	switch {
	case spec.UID != request.ID || len(registration) != 1 || registration[0] != request.Registration:
		return denied(ReasonRequester, "an agent may only ask for the identity it has")
	case known == nil:
		return denied(ReasonNotInFleet, "cluster %q is not in the fleet; register it again", request.Cluster)
	case known.Spec.SyncMode != clusterv1alpha1.Pull:
		return denied(ReasonMode, "cluster %q is in mode %s", known.Name, known.Spec.SyncMode)
	case known.Spec.ID != request.ID:
		return denied(ReasonIdentityMismatch, "the name %q belongs to another cluster, with id %q", known.Name, known.Spec.ID)
	case known.Annotations[wellknown.AnnotationRegistrationKey] != request.Registration:
		return denied(ReasonReplaced, "cluster %q has been registered with another key; register it again", known.Name)
	case !known.Spec.Accepted:
		return verdict{action: leave}
	}
	return approved(spec, request)
}

func approved(spec *certificatesv1.CertificateSigningRequestSpec, request identity.Request) verdict {
	return verdict{approve, ReasonApproved, fmt.Sprintf("cluster %q is accepted and %s may act for it", request.Cluster, spec.Username)}
}
