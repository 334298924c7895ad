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
	// ReasonTooManyWaiting says that enough clusters wait to be accepted.
	ReasonTooManyWaiting = "TooManyClustersWaiting"
)

// maxWaiting is how many Clusters may wait for acceptance. Who has a token, which
// is shared among many, can ask in any number of names; what is stored for that
// is bounded.
const maxWaiting = 100

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

// others is what matters to a request about Clusters of other names.
type others struct {
	// sameID names one with the id that the request says, empty if there is none.
	sameID string
	// waiting is how many wait for acceptance.
	waiting int
}

// decide says what to do about a well-formed request. known is the Cluster of
// that name, nil if there is none.
func decide(spec *certificatesv1.CertificateSigningRequestSpec, request identity.Request, known *clusterv1alpha1.Cluster, others others) verdict {
	switch {
	case spec.Username == request.User():
		return decideRenewal(spec, request, known)
	case byBootstrapToken(spec):
		return decideRegistration(spec, request, known, others)
	}
	return denied(ReasonRequester, "user %q may not ask for the certificate of cluster %q: it takes a token of \"fleet token create\", or that certificate", spec.Username, request.Cluster)
}

func byBootstrapToken(spec *certificatesv1.CertificateSigningRequestSpec) bool {
	return strings.HasPrefix(spec.Username, bootstrapapi.BootstrapUserPrefix) && slices.Contains(spec.Groups, wellknown.GroupAgentBootstrappers)
}

func decideRegistration(spec *certificatesv1.CertificateSigningRequestSpec, request identity.Request, known *clusterv1alpha1.Cluster, others others) verdict {
	switch {
	case request.Registration != request.Key:
		return denied(ReasonInvalidRequest, "the registration has to be the fingerprint of the requested key, %s", request.Key)
	case known == nil:
		return decideNew(spec, others)
	case known.Spec.SyncMode != clusterv1alpha1.Pull:
		return denied(ReasonMode, "cluster %q is in mode %s; register under another name, or unjoin that first", known.Name, known.Spec.SyncMode)
	case known.Spec.ID != "" && known.Spec.ID != request.ID:
		return denied(ReasonIdentityMismatch, "the name %q belongs to another cluster, with id %q; register under another name, or unjoin that first", known.Name, known.Spec.ID)
	case !known.Spec.Accepted || known.Spec.ID == "" || known.Annotations[wellknown.AnnotationRegistrationKey] != request.Registration:
		return verdict{action: leave}
	}
	return approved(spec, request)
}

// decideNew is about a cluster of a name that nobody has.
func decideNew(spec *certificatesv1.CertificateSigningRequestSpec, others others) verdict {
	switch {
	case others.sameID != "":
		return denied(ReasonIDClash, "this cluster is in the fleet as %q already; unjoin that first, or go on using it", others.sameID)
	case others.waiting >= maxWaiting && !autoAccepted(spec):
		return denied(ReasonTooManyWaiting, "%d clusters wait to be accepted, which is as many as may: accept them or take them out (\"fleet get clusters\"), and register again", others.waiting)
	}
	return verdict{action: create}
}

func autoAccepted(spec *certificatesv1.CertificateSigningRequestSpec) bool {
	return slices.Contains(spec.Groups, wellknown.GroupAgentAutoAccept)
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
