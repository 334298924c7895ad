// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusterrestriction

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/kubernetes/pkg/apis/certificates"
	"k8s.io/kubernetes/pkg/apis/coordination"

	"fleet.dev/fleet/pkg/apis/cluster"
	"fleet.dev/fleet/pkg/apis/cluster/identity"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

const registration = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

var (
	paris = identity.Identity{Cluster: "paris", ID: "1", Registration: registration}
	agent = &user.DefaultInfo{
		Name: paris.User(), UID: paris.ID, Groups: []string{wellknown.GroupClusters}, Extra: map[string][]string{wellknown.ExtraRegistration: {registration}},
	}
	expired = &user.DefaultInfo{Name: agent.Name, UID: agent.UID, Groups: []string{wellknown.GroupExpiredClusters}, Extra: agent.Extra}
	token   = &user.DefaultInfo{Name: "system:bootstrap:abcdef", Groups: []string{wellknown.GroupAgentBootstrappers}}
	jane    = &user.DefaultInfo{Name: "jane"}
)

func lease(name string, changes ...func(*coordination.Lease)) *coordination.Lease {
	l := &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, change := range changes {
		change(l)
	}
	return l
}

func status(conditions ...metav1.Condition) *cluster.Cluster {
	return &cluster.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "paris"}, Status: cluster.ClusterStatus{Conditions: conditions}}
}

// request returns a request by a new key; the registration is that key's when
// the identity has none.
func request(t *testing.T, i identity.Identity, changes ...func(*certificates.CertificateSigningRequest)) *certificates.CertificateSigningRequest {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if i.Registration == "" {
		if i.Registration, err = identity.Fingerprint(key.Public()); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: i.Subject()}, key)
	if err != nil {
		t.Fatal(err)
	}
	r := &certificates.CertificateSigningRequest{Spec: certificates.CertificateSigningRequestSpec{
		Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
		SignerName: identity.Signer, ExpirationSeconds: new(int32(86400)),
		Usages: []certificates.KeyUsage{certificates.UsageDigitalSignature, certificates.UsageClientAuth},
	}}
	for _, change := range changes {
		change(r)
	}
	return r
}

func TestValidate(t *testing.T) {
	finalizer := func(l *coordination.Lease) { l.Finalizers = []string{"example.com/keep"} }
	owner := func(l *coordination.Lease) { l.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }
	acceptedCondition := metav1.Condition{Type: "Accepted", Status: metav1.ConditionTrue}
	ready := metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue}
	leases := schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	clusters := schema.GroupVersionResource{Group: "cluster.fleet.dev", Version: "v1alpha1", Resource: "clusters"}
	requests := schema.GroupVersionResource{Group: "certificates.k8s.io", Version: "v1", Resource: "certificatesigningrequests"}
	fresh := identity.Identity{Cluster: "paris", ID: "1"}
	otherKey := paris
	otherKey.Registration = strings.Replace(registration, "0", "1", 1)
	tests := map[string]struct {
		reason        string
		user          user.Info
		resource      schema.GroupVersionResource
		subresource   string
		given, before runtime.Object
		want          string
	}{
		"Lease":           {reason: "its heartbeat", user: agent, resource: leases, given: lease("paris")},
		"OtherLease":      {reason: "leases elect leaders", user: agent, resource: leases, given: lease("rome"), want: "lease of that name"},
		"GeneratedLease":  {reason: "a name to come is not its own", user: agent, resource: leases, given: lease(""), want: "lease of that name"},
		"LeaseFinalizer":  {reason: "it would hold back the removal of the member", user: agent, resource: leases, given: lease("paris", finalizer), want: "finalizers"},
		"LeaseOwner":      {reason: "it would hold back the removal of another object", user: agent, resource: leases, given: lease("paris", owner), before: lease("paris"), want: "ownerReferences"},
		"LeaseKept":       {reason: "what others put there does not end the heartbeat", user: agent, resource: leases, given: lease("paris", finalizer), before: lease("paris", finalizer)},
		"PersonsLease":    {reason: "people are up to the roles", user: jane, resource: leases, given: lease("rome", finalizer)},
		"Status":          {reason: "it reports", user: agent, resource: clusters, subresource: "status", given: status(acceptedCondition, ready), before: status(acceptedCondition)},
		"Accepts":         {reason: "it does not accept itself, not even for show", user: agent, resource: clusters, subresource: "status", given: status(acceptedCondition), before: status(), want: "Accepted"},
		"DropsConditions": {reason: "nor hide what controllers say", user: agent, resource: clusters, subresource: "status", given: status(), before: status(acceptedCondition), want: "Accepted"},
		"Renewal":         {reason: "its next certificate", user: agent, resource: requests, given: request(t, paris)},
		"ExpiredRenewal":  {reason: "its next certificate, late", user: expired, resource: requests, given: request(t, paris)},
		"OtherName":       {reason: "another's certificate", user: agent, resource: requests, given: request(t, identity.Identity{Cluster: "rome", ID: "1", Registration: registration}), want: "identity it has"},
		"LongerName":      {reason: "another's certificate", user: agent, resource: requests, given: request(t, identity.Identity{Cluster: "paris-2", ID: "1", Registration: registration}), want: "identity it has"},
		"OtherID":         {reason: "another's certificate", user: agent, resource: requests, given: request(t, identity.Identity{Cluster: "paris", ID: "2", Registration: registration}), want: "identity it has"},
		"OtherKey":        {reason: "a certificate that would outlive its own registration", user: agent, resource: requests, given: request(t, otherKey), want: "identity it has"},
		"Shape": {
			reason: "a longer life", user: agent, resource: requests,
			given: request(t, paris, func(r *certificates.CertificateSigningRequest) { r.Spec.ExpirationSeconds = new(int32(86401)) }), want: "expirationSeconds",
		},
		"RequestFinalizer": {
			reason: "requests that cannot be cleaned up", user: agent, resource: requests,
			given: request(t, paris, func(r *certificates.CertificateSigningRequest) { r.Finalizers = []string{"example.com/keep"} }), want: "finalizers",
		},
		"Token":      {reason: "the first request", user: token, resource: requests, given: request(t, fresh)},
		"TokenOther": {reason: "a registration that another may hold the key of", user: token, resource: requests, given: request(t, paris), want: "fingerprint of the requested key"},
		"TokenSigner": {
			reason: "a kubelet's certificate", user: token, resource: requests,
			given: request(t, fresh, func(r *certificates.CertificateSigningRequest) {
				r.Spec.SignerName = "kubernetes.io/kube-apiserver-client-kubelet"
			}), want: "signer",
		},
		"PersonsRequest": {reason: "people are up to the roles and to who approves", user: jane, resource: requests, given: request(t, otherKey)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			operation := admission.Create
			if tc.before != nil {
				operation = admission.Update
			}
			namespace := ""
			if tc.resource == leases {
				namespace = "fleet-cluster-paris"
			}
			err := New().Validate(t.Context(), admission.NewAttributesRecord(tc.given, tc.before, schema.GroupVersionKind{}, namespace, "",
				tc.resource, tc.subresource, operation, nil, false, tc.user), nil)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: want %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}
