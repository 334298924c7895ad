// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agentauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apiserver/pkg/authentication/user"
	clocktesting "k8s.io/utils/clock/testing"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
)

const registration = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

var paris = identity.Identity{Cluster: "paris", ID: "0b7f9b4e-7f0c-4a41-8d4e-5d0c0b8d2f11", Registration: registration}

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, now time.Time) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-1000 * time.Hour), NotAfter: now.Add(10000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	return authority{key: key, certificate: parse(t, template, template, key, key)}
}

func (a authority) issue(t *testing.T, subject pkix.Name, notAfter time.Time, usage x509.ExtKeyUsage) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: subject, NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, a.certificate, key, a.key)
}

func parse(t *testing.T, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestAuthenticator(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ca, stranger := newAuthority(t, now), newAuthority(t, now)
	agent := func(group string) *user.DefaultInfo {
		return &user.DefaultInfo{
			Name: "system:fleet:cluster:paris", UID: paris.ID, Groups: []string{group},
			Extra: map[string][]string{"cluster.fleet.dev/registration": {registration}},
		}
	}
	withGroup := paris.Subject()
	withGroup.Organization = append(withGroup.Organization, "system:masters")
	noID := paris.Subject()
	noID.SerialNumber = ""
	client := x509.ExtKeyUsageClientAuth
	tests := map[string]struct {
		reason      string
		certificate *x509.Certificate
		grace       time.Duration
		want        *user.DefaultInfo
		wantErr     string
	}{
		"Valid": {
			reason:      "an agent is known by name, id and registration",
			certificate: ca.issue(t, paris.Subject(), now.Add(time.Hour), client), want: agent("system:fleet:clusters"),
		},
		"None": {reason: "who has no certificate is somebody else's"},
		"Person": {
			reason:      "people's certificates are upstream's",
			certificate: ca.issue(t, pkix.Name{CommonName: "jane", Organization: []string{"dev"}}, now.Add(time.Hour), client),
		},
		"Expired": {
			reason:      "an agent that was cut off may ask for the next certificate",
			certificate: ca.issue(t, paris.Subject(), now.Add(-48*time.Hour), client), grace: 72 * time.Hour, want: agent("system:fleet:expired-clusters"),
		},
		"LastMoment": {
			reason:      "the grace ends when it says",
			certificate: ca.issue(t, paris.Subject(), now.Add(-72*time.Hour), client), grace: 72 * time.Hour, want: agent("system:fleet:expired-clusters"),
		},
		"TooLate": {
			reason:      "the grace ends when it says",
			certificate: ca.issue(t, paris.Subject(), now.Add(-72*time.Hour-time.Second), client), grace: 72 * time.Hour, wantErr: "register the cluster again",
		},
		"NoGrace": {
			reason:      "an administrator may want none",
			certificate: ca.issue(t, paris.Subject(), now.Add(-time.Second), client), wantErr: "expired",
		},
		"Future": {
			reason:      "a certificate begins when it says",
			certificate: ca.issue(t, paris.Subject(), now.Add(25*time.Hour), client), wantErr: "not yet valid",
		},
		"Stranger": {
			reason:      "only the fleet's authority makes agents",
			certificate: stranger.issue(t, paris.Subject(), now.Add(time.Hour), client), wantErr: "verify the certificate",
		},
		"ExpiredStranger": {
			reason:      "the grace is for the fleet's own certificates",
			certificate: stranger.issue(t, paris.Subject(), now.Add(-time.Hour), client), grace: 72 * time.Hour, wantErr: "verify the certificate",
		},
		"Server": {
			reason:      "a server's certificate is no client's",
			certificate: ca.issue(t, paris.Subject(), now.Add(time.Hour), x509.ExtKeyUsageServerAuth), wantErr: "verify the certificate",
		},
		"ExpiredServer": {
			reason:      "a server's certificate is no client's, expired or not",
			certificate: ca.issue(t, paris.Subject(), now.Add(-time.Hour), x509.ExtKeyUsageServerAuth), grace: 72 * time.Hour, wantErr: "verify the certificate",
		},
		"MoreGroups": {
			reason:      "an agent has one group",
			certificate: ca.issue(t, withGroup, now.Add(time.Hour), client), wantErr: "organization",
		},
		"NoID": {
			reason:      "an agent has an id",
			certificate: ca.issue(t, noID, now.Add(time.Hour), client), wantErr: "subject",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			a := &Authenticator{
				Verify: func() (x509.VerifyOptions, bool) {
					roots := x509.NewCertPool()
					roots.AddCert(ca.certificate)
					return x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{client}}, true
				},
				Grace: tc.grace, Clock: clocktesting.NewFakePassiveClock(now),
			}
			req := (&http.Request{TLS: &tls.ConnectionState{}}).WithContext(t.Context())
			if tc.certificate != nil {
				req.TLS.PeerCertificates = []*x509.Certificate{tc.certificate}
			}
			response, ok, err := a.AuthenticateRequest(req)
			if tc.wantErr != "" {
				if err == nil || ok || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("%s: want an error with %q, got %t, %v", tc.reason, tc.wantErr, ok, err)
				}
				return
			}
			if err != nil || ok != (tc.want != nil) {
				t.Fatalf("%s: got %t, %v", tc.reason, ok, err)
			}
			if !ok {
				return
			}
			ignore := cmpopts.IgnoreMapEntries(func(key string, _ []string) bool { return key == user.CredentialIDKey })
			if diff := cmp.Diff(tc.want, response.User, ignore); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
