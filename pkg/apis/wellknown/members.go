// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package wellknown

// Groups of the users that members in Pull mode start with.
const (
	// GroupAgentBootstrappers is the group of bootstrap tokens with which a
	// cluster may ask to join; every token of "fleet token create" has it.
	GroupAgentBootstrappers = "system:bootstrappers:fleet:agents"
	// GroupAgentAutoAccept is the group of bootstrap tokens whose clusters are
	// accepted without an administrator.
	GroupAgentAutoAccept = "system:bootstrappers:fleet:auto-accept"
	// GroupExpiredClusters is the only group of an agent whose certificate has
	// expired: it may ask for another one and nothing else.
	GroupExpiredClusters = "system:fleet:expired-clusters"
)

// Annotations of Clusters, and of what belongs to them.
const (
	// AnnotationRegistrationKey holds the fingerprint of the one key that may get
	// a certificate for this member with a bootstrap token, sha256:<hex> of its
	// public key. The registration controller writes it, "fleet accept" changes it.
	AnnotationRegistrationKey = "cluster.fleet.dev/registration-key"
	// AnnotationTokenRotated on the Secrets with the tokens for a member holds the
	// time, RFC 3339, at which the token was put there. "fleet join" and the syncer
	// write it; tokens are rotated by it.
	AnnotationTokenRotated = "cluster.fleet.dev/token-rotated-at"
	// AnnotationJoined on the fleet's ClusterRole in a member holds the time, RFC
	// 3339, of the last "fleet join", so that it never writes the same twice.
	AnnotationJoined = "fleet.dev/joined-at"
	// AnnotationUnjoinForce with the value "true" lets a deleted Cluster go though
	// its member does not confirm what happened to its objects.
	AnnotationUnjoinForce = "fleet.dev/unjoin-force"
)

// ExtraRegistration is the key in the extra of an agent's user that holds the
// registration its certificate descends from; the API server's authenticator sets it.
const ExtraRegistration = "cluster.fleet.dev/registration"

// TaintClusterUnschedulable is put on a Cluster by "fleet cordon".
const TaintClusterUnschedulable = "cluster.fleet.dev/unschedulable"

// RoleCredentials is the ClusterRole by which the push syncer reads and rotates
// the credentials of members. It is bound in the namespaces of members in Push
// mode only.
const RoleCredentials = "system:fleet:syncer:credentials"

// VerbAccept on clusters is the right to accept a member that joined by itself.
const VerbAccept = "accept"

// TunnelProtocol is what agents and API servers upgrade a connection to.
const TunnelProtocol = "fleet-tunnel.v1"

// Names in members.
const (
	// AgentName names the ClusterRole, ServiceAccount, Deployment and Secret of
	// the agent of a member in Pull mode, in NamespaceSystem.
	AgentName = "fleet-agent"
	// SyncerName names the ServiceAccount and ClusterRole the push syncer acts
	// with.
	SyncerName = "fleet-syncer"
	// ImpersonatorName names the ServiceAccount and ClusterRole that proxied
	// requests of users are sent with.
	ImpersonatorName = "fleet-impersonator"
	// ProjectionsName names the ClusterRole and ClusterRoleBinding by which
	// UserAPIServer shows what runs in the member, and lets users act on it.
	ProjectionsName = "fleet-projections"
)

// Keys of the agent's Secret, beside tls.crt and tls.key, the certificate it
// shows to the fleet.
const (
	// SecretKeyBootstrapKubeconfig holds the kubeconfig the agent registers with:
	// address and CA of the fleet and a bootstrap token. "fleet register" writes it.
	SecretKeyBootstrapKubeconfig = "bootstrap-kubeconfig"
	// SecretKeyRequest holds the name of the agent's first certificate signing
	// request, until that is answered.
	SecretKeyRequest = "request"
	// SecretKeyRequestKey holds the private key of that request.
	SecretKeyRequestKey = "request.key"
)

// Annotations in members.
const (
	// AnnotationLeft with the value "true" on the agent's Secret says that the
	// member has left the fleet and the agent is removing itself.
	AnnotationLeft = "fleet.dev/left"
	// AnnotationFleetCA on the agent's ClusterRole holds the fingerprint of the CA
	// of the fleet the member belongs to; "fleet register" writes it.
	AnnotationFleetCA = "fleet.dev/fleet-ca"
	// AnnotationClusterName on the agent's ClusterRole holds the name of the member
	// in the fleet; "fleet register" writes it.
	AnnotationClusterName = "fleet.dev/cluster-name"
)

// LabelApp is on everything an installation of the agent consists of, with the
// value AgentName; it is the label Kubernetes recommends for that.
const LabelApp = "app.kubernetes.io/name"
