// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agentauth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Authenticator recognises agents by their client certificates and leaves all
// other requests to others. It stands in front of upstream's authenticator of
// certificates, which knows neither the id nor the registration.
type Authenticator struct {
	// Verify returns the authorities of client certificates, as of now.
	Verify x509request.VerifyOptionFunc
	// Grace is for how long a certificate that has run out is still good to ask
	// for another; 0 means not at all.
	Grace time.Duration
	Clock clock.PassiveClock
}

var _ authenticator.Request = &Authenticator{}

// AuthenticateRequest implements authenticator.Request.
func (a *Authenticator) AuthenticateRequest(req *http.Request) (*authenticator.Response, bool, error) {
	if req.TLS == nil || len(req.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	certificate := req.TLS.PeerCertificates[0]
	if !slices.Contains(certificate.Subject.Organization, wellknown.GroupClusters) {
		return nil, false, nil
	}
	i, err := identity.FromCertificate(certificate)
	if err != nil {
		return nil, false, fmt.Errorf("read the certificate of an agent: %w", err)
	}
	now, group := a.Clock.Now(), wellknown.GroupClusters
	if late := now.Sub(certificate.NotAfter); late > 0 {
		if late > a.Grace {
			return nil, false, fmt.Errorf("the certificate of %s expired at %s, longer than %s ago; register the cluster again",
				i.User(), certificate.NotAfter.UTC().Format(time.RFC3339), a.Grace)
		}
		// All but its end has to be good now: who signed it, and what it is for.
		extended := *certificate
		extended.NotAfter = now
		certificate, group = &extended, wellknown.GroupExpiredClusters
	}
	if ok, err := a.verify(certificate, req.TLS.PeerCertificates[1:], now); err != nil || !ok {
		return nil, false, err
	}
	fingerprint := sha256.Sum256(certificate.Raw)
	return &authenticator.Response{User: &user.DefaultInfo{
		Name:   i.User(),
		UID:    i.ID,
		Groups: []string{group},
		Extra: map[string][]string{
			wellknown.ExtraRegistration: {i.Registration},
			user.CredentialIDKey:        {"X509SHA256=" + hex.EncodeToString(fingerprint[:])},
		},
	}}, true, nil
}

// verify checks who signed a certificate, and its use.
func (a *Authenticator) verify(certificate *x509.Certificate, intermediates []*x509.Certificate, now time.Time) (bool, error) {
	options, ok := a.Verify()
	if !ok {
		return false, nil
	}
	options.CurrentTime = now
	options.Intermediates = x509.NewCertPool()
	for _, intermediate := range intermediates {
		options.Intermediates.AddCert(intermediate)
	}
	if _, err := certificate.Verify(options); err != nil {
		return false, fmt.Errorf("verify the certificate of an agent: %w", err)
	}
	return true, nil
}
