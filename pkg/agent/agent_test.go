// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
)

// issue returns credentials as after an accepted request.
func (f *fakeFleet) issue(t *testing.T) Credentials {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	registration, err := identity.Fingerprint(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	who := identity.Identity{Cluster: testCluster, ID: testID, Registration: registration}
	request, err := cert.MakeCSRFromTemplate(key, &x509.CertificateRequest{Subject: who.Subject()})
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	return Credentials{Bootstrap: []byte("b"), Certificate: f.sign(request, time.Hour), Key: keyPEM}
}

func TestCertificatesUpdate(t *testing.T) {
	fleet := &fakeFleet{T: t, authority: newAuthority(t)}
	first, second := fleet.issue(t), fleet.issue(t)
	store := NewMemoryStore(first)
	certificates, err := newCertificates(store, first)
	if err != nil {
		t.Fatal(err)
	}
	renewed := 0
	certificates.renewed = func() { renewed++ }

	if _, err := certificates.Update(second.Certificate, second.Key); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(second, stored(t, store)); diff != "" || renewed != 1 {
		t.Errorf("a new certificate is stored and taken up once (%d): -want +got:\n%s", renewed, diff)
	}
	if _, err := certificates.Update(first.Certificate, second.Key); err == nil {
		t.Error("a certificate of another key is refused")
	}

	again := Credentials{Bootstrap: []byte("another")}
	if err := store.Update(t.Context(), func(c *Credentials) error { *c = again; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := certificates.Update(first.Certificate, first.Key); !errors.Is(err, errReplaced) {
		t.Errorf("Update(): %v, want %v", err, errReplaced)
	}
	if diff := cmp.Diff(again, stored(t, store)); diff != "" || renewed != 1 {
		t.Errorf("a certificate of an earlier registration is dropped: -want +got:\n%s", diff)
	}
}

func TestIdentify(t *testing.T) {
	fleet := &fakeFleet{T: t, authority: newAuthority(t)}
	credentials := fleet.issue(t)
	swapped := credentials
	swapped.Key = fleet.issue(t).Key
	for name, tc := range map[string]struct {
		reason      string
		cluster, id string
		credentials Credentials
		ok          bool
	}{
		"Own":       {"the certificate is this member's", testCluster, testID, credentials, true},
		"OtherID":   {"a Secret restored into another cluster must not make that one the member", testCluster, "other", credentials, false},
		"OtherName": {"the agent serves the member it was told to", "rome", testID, credentials, false},
		"OtherKey":  {"a certificate without its key is useless", testCluster, testID, swapped, false},
	} {
		t.Run(name, func(t *testing.T) {
			agent, err := New(Config{Cluster: tc.cluster, Member: func() (*rest.Config, error) { return &rest.Config{Host: "https://member"}, nil }})
			if err != nil {
				t.Fatal(err)
			}
			if err := agent.identify(tc.credentials, tc.id); (err == nil) != tc.ok {
				t.Errorf("%s: identify(): %v, want it to succeed: %t", tc.reason, err, tc.ok)
			}
		})
	}
}
