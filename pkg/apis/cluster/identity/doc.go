// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package identity defines who a member in Pull mode is to the fleet: the
// subject of its client certificate and the one shape a request for such a
// certificate may have. The agent asks with it, the API server and the
// registration controller check with it, so that both sides cannot disagree.
//
// # The subject
//
//	CN            system:fleet:cluster:<name>    user name
//	O             system:fleet:clusters          the only group
//	serialNumber  <id>                           user uid: uid of the member's kube-system namespace, spec.id of its Cluster
//	OU            sha256:<hex>                   registration: fingerprint of the key the member was accepted with
//
// Nothing else may be in it, and no extension. The id is in serialNumber and not
// in upstream's attribute for uids (1.3.6.1.4.1.57683.2), because the stock
// signer issues only the attributes that crypto/x509 has fields for.
//
// # The registration
//
// The first request of a member is for a key of its own making; the fingerprint
// of that key is what an administrator accepts and what the Cluster remembers
// (wellknown.AnnotationRegistrationKey). Every later certificate has a key of its
// own and repeats the registration. Accepting another key therefore ends every
// certificate that descends from the one before, and so does joining again after
// an unjoin, though name and id are the same.
//
// The package is pure: it reads no files and no clock, and knows no clients.
package identity
