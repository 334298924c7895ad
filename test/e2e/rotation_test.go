// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// shortLife is what is left of the certificate that the agent gets for the test.
	// It asks for another one when 10 to 30 % of twice that is left.
	shortLife = 30 * time.Second
	// afterwards is how long the load goes on when the old credentials are dead.
	afterwards = 8 * time.Second
	// rotationPeriod is how often tokens of members are replaced in the test,
	// rotationOverlap how long the old ones live on.
	rotationPeriod  = 10 * time.Second
	rotationOverlap = 5 * time.Second
)

// TestRotation replaces the credentials of both members while each carries a load:
// the certificate of the agent and the tokens of the member in Push mode.
func TestRotation(t *testing.T) {
	s := newSpace(t)
	s.pinToEach(t)
	rotate := []string{"--credential-rotation-period=" + rotationPeriod.String(), "--credential-rotation-overlap=" + rotationOverlap.String()}
	if err := bed.fleet.RestartWith(t.Context(), append(slices.Clone(bed.fleetArgs), rotate...)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.fleet.RestartWith(context.WithoutCancel(t.Context()), bed.fleetArgs...); err != nil {
			t.Error(err)
		}
	})
	// The subtests are parallel and end before this one.
	t.Run("Both", func(t *testing.T) {
		t.Run("Certificate", s.rotateCertificate)
		t.Run("Tokens", s.rotateTokens)
	})
}

// rotateCertificate gives the agent a certificate that is about to expire. It gets
// another one, and nothing fails.
func (s *space) rotateCertificate(t *testing.T) {
	t.Parallel()
	home := bed.members[1]
	old := shorten(t, home)
	if err := home.Agent.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := home.StartAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := s.startLoad(t, home)
	var next *x509.Certificate
	eventually(t, shortLife, "the agent to have another certificate", func(context.Context) error {
		next = certificateOf(t, agentSecret(t, home).Data[corev1.TLSCertKey])
		if next.SerialNumber.Cmp(old.SerialNumber) == 0 {
			return errors.New("it has the old one")
		}
		return nil
	})
	t.Logf("rotated with %s left; the next one lives %s", time.Until(old.NotAfter).Round(time.Second), next.NotAfter.Sub(next.NotBefore))
	if next.Subject.String() != old.Subject.String() {
		t.Errorf("a new certificate is for the same agent: want %s, got %s", old.Subject, next.Subject)
	}
	l.finishWithout(t, time.Until(old.NotAfter.Add(afterwards)))
	if _, err := asAdmin().start(t.Context(), "kubectl", "get", "--raw", clusterAPI+"/"+home.Name()+"/proxy/readyz"); err != nil {
		t.Errorf("the tunnel works with the new certificate: %v", err)
	}
}

// rotateTokens waits until the tokens of a member have been replaced, and the old
// ones are gone.
func (s *space) rotateTokens(t *testing.T) {
	t.Parallel()
	home := bed.members[0]
	before := memberTokens(t, home)
	l := s.startLoad(t, home)
	eventually(t, 3*(rotationPeriod+rotationOverlap), "every token of the member to be another, and the old ones to be gone", func(context.Context) error {
		for name, uid := range memberTokens(t, home) {
			for was, old := range before {
				if uid == old {
					return fmt.Errorf("token %s is the one that was %s", name, was)
				}
			}
		}
		return nil
	})
	l.finishWithout(t, afterwards)
}

// finishWithout ends the load when the member has been ready for a while, and checks
// that nothing failed, was applied again or deleted.
func (l *load) finishWithout(t *testing.T, period time.Duration) {
	t.Helper()
	throughout(t, period, "the member being ready", func(ctx context.Context) error {
		return readiness(ctx, t, l.home, metav1.ConditionTrue)
	})
	l.finish(t)
	checkNoneFailed(t, l.checkAppliedOnce(t))
	l.space.checkNothingDeleted(t, l.home, l.mark)
}

// shorten replaces the certificate of an agent by one for the same key that
// expires soon.
func shorten(t *testing.T, m *member) *x509.Certificate {
	t.Helper()
	pki := filepath.Join(bed.fleet.DataDir(), "pki")
	ca, err := cert.CertsFromFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyutil.PrivateKeyFromFile(filepath.Join(pki, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	out := certificateOf(t, agentSecret(t, m).Data[corev1.TLSCertKey])
	now := time.Now()
	out.NotBefore, out.NotAfter = now.Add(-shortLife), now.Add(shortLife)
	if out.SerialNumber, err = rand.Int(rand.Reader, out.SerialNumber); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, out, ca[0], out.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	patch := fmt.Appendf(nil, `{"stringData":{%q:%q}}`, corev1.TLSCertKey, pkiutil.EncodeCertPEM(out))
	if _, err := m.memberClient.CoreV1().Secrets(wellknown.NamespaceSystem).Patch(t.Context(), wellknown.AgentName,
		types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	return out
}

// memberTokens are the uids of the token Secrets that the fleet has in a member.
func memberTokens(t *testing.T, m *member) map[string]types.UID {
	t.Helper()
	secrets, err := m.memberClient.CoreV1().Secrets(wellknown.NamespaceSystem).List(t.Context(), metav1.ListOptions{
		FieldSelector: "type=" + string(corev1.SecretTypeServiceAccountToken),
	})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]types.UID{}
	for _, secret := range secrets.Items {
		out[secret.Name] = secret.UID
	}
	if len(out) == 0 {
		t.Fatalf("%s has no tokens for the fleet", m.Name())
	}
	return out
}
