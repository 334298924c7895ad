// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const registration = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

var paris = Identity{Cluster: "paris", ID: "0b7f9b4e-7f0c-4a41-8d4e-5d0c0b8d2f11", Registration: registration}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(t *testing.T, key crypto.Signer, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der})
}

func TestParseRequest(t *testing.T) {
	key := newKey(t)
	fingerprint, err := Fingerprint(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	subject := func(change func(*pkix.Name)) func(*x509.CertificateRequest) {
		return func(r *x509.CertificateRequest) { change(&r.Subject) }
	}
	tests := map[string]struct {
		reason   string
		key      crypto.Signer
		template func(*x509.CertificateRequest)
		spec     func(*certificatesv1.CertificateSigningRequestSpec)
		want     string // part of the error; empty means accepted
	}{
		"Good":    {reason: "this is what agents ask for"},
		"Shorter": {reason: "a shorter life is the agent's choice", spec: func(s *certificatesv1.CertificateSigningRequestSpec) { s.ExpirationSeconds = new(int32(600)) }},
		"Signer": {reason: "kubelets have another signer", spec: func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.SignerName = certificatesv1.KubeAPIServerClientKubeletSignerName
		}, want: "signer"},
		"NoLife":   {reason: "the signer's default is a year", spec: func(s *certificatesv1.CertificateSigningRequestSpec) { s.ExpirationSeconds = nil }, want: "expirationSeconds"},
		"LongLife": {reason: "a stolen key shall not last", spec: func(s *certificatesv1.CertificateSigningRequestSpec) { s.ExpirationSeconds = new(int32(86401)) }, want: "expirationSeconds"},
		"Server": {reason: "nobody may pose as a server", spec: func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.Usages = append(s.Usages, certificatesv1.UsageServerAuth)
		}, want: "usages"},
		"NoUsages": {reason: "usages are exact", spec: func(s *certificatesv1.CertificateSigningRequestSpec) { s.Usages = nil }, want: "usages"},
		"Repeated": {reason: "usages are exact", spec: func(s *certificatesv1.CertificateSigningRequestSpec) { s.Usages = append(s.Usages, s.Usages[0]) }, want: "usages"},
		"Garbage":  {reason: "there must be a request", spec: func(s *certificatesv1.CertificateSigningRequestSpec) { s.Request = []byte("hello") }, want: "PEM block"},
		"BadDER": {reason: "there must be a request", spec: func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.Request = pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: []byte{1}})
		}, want: "parse the request"},
		"Block": {reason: "a certificate is no request", spec: func(s *certificatesv1.CertificateSigningRequestSpec) {
			s.Request = []byte(strings.ReplaceAll(string(s.Request), requestBlock, "CERTIFICATE"))
		}, want: "PEM block"},
		"Two":     {reason: "which of them was checked would be a matter of the reader", spec: func(s *certificatesv1.CertificateSigningRequestSpec) { s.Request = append(s.Request, s.Request...) }, want: "nothing after it"},
		"Ed25519": {reason: "one kind of key", key: edwards, want: "P-256"},
		"P384":    {reason: "one curve", key: large, want: "P-256"},
		"DNS":     {reason: "alternative names would be issued", template: func(r *x509.CertificateRequest) { r.DNSNames = []string{"kubernetes"} }, want: "extensions"},
		"Email":   {reason: "alternative names would be issued", template: func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@example.com"} }, want: "extensions"},
		"URI":     {reason: "alternative names would be issued", template: func(r *x509.CertificateRequest) { r.URIs = []*url.URL{{Scheme: "spiffe", Host: "x"}} }, want: "extensions"},
		"Extension": {reason: "nothing asks for extensions", template: func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Value: []byte{0x30, 0}}}
		}, want: "extensions"},
		"User":      {reason: "only members get certificates this way", template: subject(func(n *pkix.Name) { n.CommonName = "admin" }), want: "common name"},
		"NoUser":    {reason: "only members get certificates this way", template: subject(func(n *pkix.Name) { n.CommonName = "" }), want: "common name"},
		"NoName":    {reason: "a member has a name", template: subject(func(n *pkix.Name) { n.CommonName = wellknown.UserClusterPrefix }), want: "cluster name"},
		"Upper":     {reason: "names are of one case", template: subject(func(n *pkix.Name) { n.CommonName = wellknown.UserClusterPrefix + "Paris" }), want: "cluster name"},
		"Homoglyph": {reason: "names are ASCII", template: subject(func(n *pkix.Name) { n.CommonName = wellknown.UserClusterPrefix + "pаris" }), want: "cluster name"},
		"NUL":       {reason: "names end where they end", template: subject(func(n *pkix.Name) { n.CommonName = wellknown.UserClusterPrefix + "paris\x00x" }), want: "cluster name"},
		"Path":      {reason: "names are no paths", template: subject(func(n *pkix.Name) { n.CommonName = wellknown.UserClusterPrefix + "../paris" }), want: "cluster name"},
		"Long":      {reason: "the namespace must have a valid name", template: subject(func(n *pkix.Name) { n.CommonName = wellknown.UserClusterPrefix + strings.Repeat("a", 50) }), want: "cluster name"},
		"Prefix":    {reason: "the prefix is exact", template: subject(func(n *pkix.Name) { n.CommonName = " " + n.CommonName }), want: "common name"},
		"NoGroup":   {reason: "without the group the authorizer of agents would not decide", template: subject(func(n *pkix.Name) { n.Organization = nil }), want: "organization"},
		"Masters":   {reason: "a group more is a right more", template: subject(func(n *pkix.Name) { n.Organization = append(n.Organization, "system:masters") }), want: "organization"},
		"Twice":     {reason: "the group once", template: subject(func(n *pkix.Name) { n.Organization = append(n.Organization, wellknown.GroupClusters) }), want: "organization"},
		"NoID":      {reason: "the id is the user's uid", template: subject(func(n *pkix.Name) { n.SerialNumber = "" }), want: "CN, O, OU and serialNumber"},
		"BadID":     {reason: "the id is a uid", template: subject(func(n *pkix.Name) { n.SerialNumber = "a b" }), want: "cluster id"},
		"NoReg":     {reason: "every certificate descends from an accepted key", template: subject(func(n *pkix.Name) { n.OrganizationalUnit = nil }), want: "organizational unit"},
		"BadReg":    {reason: "every certificate descends from an accepted key", template: subject(func(n *pkix.Name) { n.OrganizationalUnit = []string{"sha256:00"} }), want: "fingerprint"},
		"Country":   {reason: "nothing more is said", template: subject(func(n *pkix.Name) { n.Country = []string{"FR"} }), want: "CN, O, OU and serialNumber"},
		"Unknown": {reason: "nothing more is said", template: subject(func(n *pkix.Name) {
			n.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}, Value: "other"}}
		}), want: "CN, O, OU and serialNumber"},
		"SecondCN": {
			reason: "readers disagree on which of two names counts",
			template: subject(func(n *pkix.Name) {
				first := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: n.CommonName}
				second := first
				second.Value = wellknown.UserClusterPrefix + "rome"
				n.ExtraNames = []pkix.AttributeTypeAndValue{first, second}
			}),
			want: "CN, O, OU and serialNumber",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			template := &x509.CertificateRequest{Subject: paris.Subject()}
			if tc.template != nil {
				tc.template(template)
			}
			var signer crypto.Signer = key
			if tc.key != nil {
				signer = tc.key
			}
			spec := &certificatesv1.CertificateSigningRequestSpec{
				SignerName: Signer, Usages: Usages(), ExpirationSeconds: new(int32(86400)), Request: encode(t, signer, template),
			}
			if tc.spec != nil {
				tc.spec(spec)
			}
			got, err := ParseRequest(spec)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("%s: want an error with %q, got %v", tc.reason, tc.want, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(Request{Identity: paris, Key: fingerprint}, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestForgedSignature(t *testing.T) {
	data := encode(t, newKey(t), &x509.CertificateRequest{Subject: paris.Subject()})
	block, _ := pem.Decode(data)
	block.Bytes[len(block.Bytes)-1] ^= 1
	_, err := ParseRequest(&certificatesv1.CertificateSigningRequestSpec{
		SignerName: Signer, Usages: Usages(), ExpirationSeconds: new(int32(86400)), Request: pem.EncodeToMemory(block),
	})
	if err == nil || !strings.Contains(err.Error(), "signature of the request") {
		t.Errorf("who asks must hold the key: want an error about the signature, got %v", err)
	}
}

func TestClaims(t *testing.T) {
	key := newKey(t)
	tests := map[string]struct {
		reason  string
		request []byte
		cluster string
		claims  bool
	}{
		"Member": {
			reason:  "the registration controller decides on these",
			request: encode(t, key, &x509.CertificateRequest{Subject: paris.Subject()}), cluster: "paris", claims: true,
		},
		"GroupOnly": {
			reason:  "the group alone would reach the authorizer of agents",
			request: encode(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x", Organization: []string{"a", wellknown.GroupClusters}}}), claims: true,
		},
		"NameOnly": {
			reason:  "the name alone would be taken for a member's in an audit log",
			request: encode(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: wellknown.UserClusterPrefix + "No Name"}}), cluster: "No Name", claims: true,
		},
		"Person":  {reason: "what people ask for is not ours", request: encode(t, key, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}})},
		"Garbage": {reason: "nobody can tell what this is", request: []byte("hello")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			cluster, claims := Claims(tc.request)
			if cluster != tc.cluster || claims != tc.claims {
				t.Errorf("%s: want %q, %t, got %q, %t", tc.reason, tc.cluster, tc.claims, cluster, claims)
			}
		})
	}
}

// TestThroughCertificate shows that nothing is lost on the way that the stock
// signer takes: the parsed subject of a request as the subject of a certificate.
func TestThroughCertificate(t *testing.T) {
	key := newKey(t)
	request, _, err := decode(encode(t, key, &x509.CertificateRequest{Subject: paris.Subject()}))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: request.Subject}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	got, err := FromCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(paris, got); diff != "" {
		t.Errorf("identity: -want +got:\n%s", diff)
	}
}

// FuzzParseRequest feeds arbitrary requests: what is accepted has a valid
// identity, and is recognised as a member's.
func FuzzParseRequest(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: paris.Subject()}, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		data := pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der})
		got, err := ParseRequest(&certificatesv1.CertificateSigningRequestSpec{
			SignerName: Signer, Usages: Usages(), ExpirationSeconds: new(int32(86400)), Request: data,
		})
		if err != nil {
			return
		}
		if err := got.Validate(); err != nil {
			t.Errorf("accepted an invalid identity: %v", err)
		}
		if cluster, claims := Claims(data); !claims || cluster != got.Cluster {
			t.Errorf("accepted a request for %q that claims to be for %q (%t)", got.Cluster, cluster, claims)
		}
	})
}
