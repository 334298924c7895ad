// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// Signer signs certificates of members.
	Signer = certificatesv1.KubeAPIServerClientSignerName
	// MaxLifetime is the longest and the usual life of a certificate.
	MaxLifetime = 24 * time.Hour
	// requestBlock is the type of the PEM block of a request.
	requestBlock = "CERTIFICATE REQUEST"
)

// Usages are what a certificate of a member is for.
func Usages() []certificatesv1.KeyUsage {
	return []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}
}

// Request is a well-formed request for a certificate of a member.
type Request struct {
	Identity
	// Key is the fingerprint of the key it is for. In the first request of a
	// member it is the registration.
	Key string
}

// ParseRequest returns the request in the specification of a
// CertificateSigningRequest, or what is wrong with it: signer, usages, lifetime,
// subject, extensions, kind of key or signature. Who asks is not looked at.
func ParseRequest(spec *certificatesv1.CertificateSigningRequestSpec) (Request, error) {
	if spec.SignerName != Signer {
		return Request{}, fmt.Errorf("signer %q: expected %q", spec.SignerName, Signer)
	}
	if err := checkUsages(spec.Usages); err != nil {
		return Request{}, err
	}
	if most := int32(MaxLifetime / time.Second); spec.ExpirationSeconds == nil || *spec.ExpirationSeconds > most {
		return Request{}, fmt.Errorf("expirationSeconds: expected at most %d", most)
	}
	request, rest, err := decode(spec.Request)
	if err != nil {
		return Request{}, err
	}
	if len(rest) > 0 {
		return Request{}, errors.New("request: expected one PEM block and nothing after it")
	}
	if err := checkKey(request); err != nil {
		return Request{}, err
	}
	if len(request.Extensions) > 0 {
		return Request{}, errors.New("extensions: expected none, alternative names included")
	}
	identity, err := fromSubject(request.Subject)
	if err != nil {
		return Request{}, err
	}
	key, err := Fingerprint(request.PublicKey)
	return Request{Identity: identity, Key: key}, err
}

// Claims returns whether a request, well-formed or not, is for a certificate
// that would pass for a member's, and the name of the Cluster it says, which may
// be no valid name.
func Claims(request []byte) (cluster string, claims bool) {
	parsed, _, err := decode(request)
	if err != nil {
		return "", false
	}
	cluster, claims = strings.CutPrefix(parsed.Subject.CommonName, wellknown.UserClusterPrefix)
	if !claims {
		cluster = ""
	}
	return cluster, claims || slices.Contains(parsed.Subject.Organization, wellknown.GroupClusters)
}

// decode reads the first PEM block, as the signer does, and returns what is left.
func decode(data []byte) (request *x509.CertificateRequest, rest []byte, err error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != requestBlock {
		return nil, nil, fmt.Errorf("request: expected a PEM block of type %q", requestBlock)
	}
	request, err = x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("parse the request: %w", err)
	}
	return request, rest, nil
}

func checkUsages(usages []certificatesv1.KeyUsage) error {
	given, want := slices.Sorted(slices.Values(usages)), slices.Sorted(slices.Values(Usages()))
	if !slices.Equal(given, want) {
		return fmt.Errorf("usages %q: expected %q", given, want)
	}
	return nil
}

func checkKey(request *x509.CertificateRequest) error {
	key, ok := request.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return errors.New("key: expected ECDSA on curve P-256")
	}
	if err := request.CheckSignature(); err != nil {
		return fmt.Errorf("signature of the request: %w", err)
	}
	return nil
}
