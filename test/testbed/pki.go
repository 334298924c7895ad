// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is that of every certificate of a bed: longer than any bed lives.
const lifetime = 10 * 365 * 24 * time.Hour

// authority signs certificates.
type authority struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	certPEM []byte
	now     time.Time
}

// keyPair is a certificate or public key with its private key, PEM encoded.
type keyPair struct {
	cert []byte
	key  []byte
}

func newAuthority(name string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certTemplate(pkix.Name{CommonName: name}, now)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage |= x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key, certPEM: encode("CERTIFICATE", der), now: now}, nil
}

// issue signs a certificate for a client and, when it has addresses, a server.
func (a *authority) issue(subject pkix.Name, names []string, addresses ...net.IP) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	template := certTemplate(subject, a.now)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(addresses) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	template.DNSNames, template.IPAddresses = names, addresses
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return keyPair{}, err
	}
	keyPEM, err := encodeKey(key)
	return keyPair{cert: encode("CERTIFICATE", der), key: keyPEM}, err
}

func certTemplate(subject pkix.Name, now time.Time) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return encode("PRIVATE KEY", der), nil
}

// Identities of a member's components, as in any Kubernetes cluster. kwok acts
// for every node and more, which no kubelet may, so it is an administrator.
const (
	adminUser             = "admin"
	controllerManagerUser = "system:kube-controller-manager"
	schedulerUser         = "system:kube-scheduler"
	kwokUser              = "kwok"
	frontProxyUser        = "front-proxy-client"
	kubeletClientUser     = "kube-apiserver-kubelet-client"

	administrators = "system:masters"
)

// memberKeys are the files that ensurePKI leaves in a member's pki directory.
type memberKeys struct{ dir string }

func (k memberKeys) file(name string) string { return filepath.Join(k.dir, name) }

func (k memberKeys) ca() string    { return k.file("ca.crt") }
func (k memberKeys) caKey() string { return k.file("ca.key") }

// pair is the certificate and key file of one identity.
func (k memberKeys) pair(name string) (cert, key string) {
	return k.file(name + ".crt"), k.file(name + ".key")
}

// ensurePKI generates a member's keys unless they exist. serviceIP is the first
// address of its service range, which in-cluster clients dial.
func (k memberKeys) ensurePKI(serviceIP net.IP, now time.Time) error {
	if _, err := os.Stat(k.dir); err == nil {
		return nil
	}
	files, err := generatePKI(serviceIP, now)
	if err != nil {
		return fmt.Errorf("generate keys for %s: %w", k.dir, err)
	}
	// Written aside and renamed, so that the directory is complete or absent.
	aside := k.dir + ".tmp"
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	for name, raw := range files {
		if err := os.WriteFile(filepath.Join(aside, name), raw, 0o600); err != nil {
			return err
		}
	}
	return os.Rename(aside, k.dir)
}

// generatePKI makes every key of one member: file name to content.
func generatePKI(serviceIP net.IP, now time.Time) (map[string][]byte, error) {
	ca, err := newAuthority("kubernetes", now)
	if err != nil {
		return nil, err
	}
	frontProxyCA, err := newAuthority("front-proxy-ca", now)
	if err != nil {
		return nil, err
	}
	caKey, err := encodeKey(ca.key)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		"ca.crt":             ca.certPEM,
		"ca.key":             caKey,
		"front-proxy-ca.crt": frontProxyCA.certPEM,
	}
	add := func(name string, pair keyPair, err error) error {
		files[name+".crt"], files[name+".key"] = pair.cert, pair.key
		return err
	}
	local := net.ParseIP(loopback)
	serverNames := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}

	server, err := ca.issue(pkix.Name{CommonName: "kube-apiserver"}, serverNames, local, serviceIP)
	errs := []error{add("server", server, err)}
	kubelet, err := ca.issue(pkix.Name{CommonName: "kwok"}, []string{"localhost"}, local)
	errs = append(errs, add("kubelet-server", kubelet, err))
	proxy, err := frontProxyCA.issue(pkix.Name{CommonName: frontProxyUser}, nil)
	errs = append(errs, add(frontProxyUser, proxy, err))
	for user, groups := range map[string][]string{
		adminUser:             {administrators},
		kwokUser:              {administrators},
		kubeletClientUser:     {administrators},
		controllerManagerUser: nil,
		schedulerUser:         nil,
	} {
		client, err := ca.issue(pkix.Name{CommonName: user, Organization: groups}, nil)
		errs = append(errs, add(user, client, err))
	}
	tokens, err := serviceAccountKeys()
	files["sa.pub"], files["sa.key"] = tokens.cert, tokens.key
	return files, errors.Join(append(errs, err)...)
}

// serviceAccountKeys makes the key that signs service account tokens.
func serviceAccountKeys() (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return keyPair{}, err
	}
	private, err := encodeKey(key)
	return keyPair{cert: encode("PUBLIC KEY", public), key: private}, err
}
