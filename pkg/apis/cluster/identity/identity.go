// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"fleet.dev/fleet/pkg/apis/cluster/validation"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// fingerprintPrefix names the hash of fingerprints.
const fingerprintPrefix = "sha256:"

var (
	idPattern          = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9]{0,63}$`)
	fingerprintPattern = regexp.MustCompile(`^` + fingerprintPrefix + `[0-9a-f]{64}$`)
)

// Identity says which member a certificate stands for.
type Identity struct {
	// Cluster is the name of its Cluster.
	Cluster string
	// ID is the uid of the member's kube-system namespace and spec.id of its
	// Cluster.
	ID string
	// Registration is the fingerprint of the key the member was accepted with.
	Registration string
}

// User returns the name of the user.
func (i Identity) User() string { return wellknown.UserClusterPrefix + i.Cluster }

// Subject returns the subject of certificates and requests.
func (i Identity) Subject() pkix.Name {
	return pkix.Name{
		CommonName:         i.User(),
		Organization:       []string{wellknown.GroupClusters},
		SerialNumber:       i.ID,
		OrganizationalUnit: []string{i.Registration},
	}
}

// Validate returns everything that is wrong with the identity.
func (i Identity) Validate() error {
	var errs []error
	if found := validation.ClusterName(i.Cluster, false); len(found) > 0 {
		errs = append(errs, fmt.Errorf("cluster name %q: %s", i.Cluster, strings.Join(found, ", ")))
	}
	if !idPattern.MatchString(i.ID) {
		errs = append(errs, fmt.Errorf("cluster id %q: expected the uid of the member's kube-system namespace", i.ID))
	}
	if err := ValidateFingerprint(i.Registration); err != nil {
		errs = append(errs, fmt.Errorf("registration: %w", err))
	}
	return errors.Join(errs...)
}

// FromCertificate returns the identity in a certificate. That somebody trusted
// signed it, and that it is valid now, is the caller's to check.
func FromCertificate(certificate *x509.Certificate) (Identity, error) {
	return fromSubject(certificate.Subject)
}

// fromSubject accepts a subject of exactly the four attributes.
func fromSubject(subject pkix.Name) (Identity, error) {
	name, ok := strings.CutPrefix(subject.CommonName, wellknown.UserClusterPrefix)
	if !ok {
		return Identity{}, fmt.Errorf("common name %q: expected %s and the name of a cluster", subject.CommonName, wellknown.UserClusterPrefix)
	}
	if !slices.Equal(subject.Organization, []string{wellknown.GroupClusters}) {
		return Identity{}, fmt.Errorf("organization %q: expected only %q", subject.Organization, wellknown.GroupClusters)
	}
	if len(subject.OrganizationalUnit) != 1 {
		return Identity{}, fmt.Errorf("organizational unit %q: expected one fingerprint", subject.OrganizationalUnit)
	}
	// Names has every attribute that was read, also repeated and unknown ones.
	if len(subject.Names) != 4 {
		return Identity{}, fmt.Errorf("subject %q: expected CN, O, OU and serialNumber, each once", subject.String())
	}
	i := Identity{Cluster: name, ID: subject.SerialNumber, Registration: subject.OrganizationalUnit[0]}
	return i, i.Validate()
}

// Fingerprint returns sha256:<hex> of a public key in its PKIX form, as
// "openssl pkey -pubout -outform DER | sha256sum" does.
func Fingerprint(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encode a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return fingerprintPrefix + hex.EncodeToString(sum[:]), nil
}

// ValidateFingerprint returns an error unless s looks like a result of
// Fingerprint.
func ValidateFingerprint(s string) error {
	if fingerprintPattern.MatchString(s) {
		return nil
	}
	return fmt.Errorf("fingerprint %q: expected %s and 64 hexadecimal digits", s, fingerprintPrefix)
}
