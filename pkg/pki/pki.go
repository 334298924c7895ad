// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	certutil "k8s.io/client-go/util/cert"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
	"k8s.io/utils/clock"
)

const (
	// caLifetime is how long the authorities are valid. They are made once per
	// fleet, so this bounds the life of a fleet whose CA is never rotated by hand.
	caLifetime = 10 * 365 * 24 * time.Hour
	// leafLifetime is how long server and client certificates are valid. They are
	// renewed at a start past two thirds of it.
	leafLifetime = 365 * 24 * time.Hour

	caName           = "ca"
	servingName      = "apiserver"
	frontProxyCAName = "front-proxy-ca"
	frontProxyName   = "front-proxy-client"
	serviceAccount   = "sa"
)

// Identity is a client of the fleet that gets a certificate and a kubeconfig.
type Identity struct {
	// Name of the files: pki/<name>.crt, kubeconfigs/<name>.kubeconfig.
	Name string
	// User is the certificate's common name, Groups its organizations.
	User   string
	Groups []string
}

// Config says where the material lives and what it must name.
type Config struct {
	// Dir receives the certificates, KubeconfigDir the kubeconfigs.
	Dir           string
	KubeconfigDir string
	// Names and IPs that the serving certificate must be valid for.
	DNSNames []string
	IPs      []net.IP
	// ServerURL is the address written into kubeconfigs.
	ServerURL  string
	Identities []Identity
	Clock      clock.PassiveClock
}

// Files are the paths the servers are configured with.
type Files struct {
	CACert, CAKey                        string
	ServingCert, ServingKey              string
	FrontProxyCACert                     string
	FrontProxyCert, FrontProxyKey        string
	ServiceAccountPub, ServiceAccountKey string
	// FleetID holds what members know the fleet by. The API server writes it.
	FleetID string
	// Kubeconfigs maps Identity.Name to its kubeconfig.
	Kubeconfigs map[string]string
}

// Ensure makes or renews everything in cfg and returns where it is.
// Errors name the file that could not be read or written.
func Ensure(cfg Config) (*Files, error) {
	for _, dir := range []string{cfg.Dir, cfg.KubeconfigDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("create directory for certificates: %w", err)
		}
	}
	ca, err := ensureAuthority(cfg, caName, "fleet-ca")
	if err != nil {
		return nil, err
	}
	frontProxyCA, err := ensureAuthority(cfg, frontProxyCAName, "fleet-front-proxy-ca")
	if err != nil {
		return nil, err
	}
	if err := ensureServiceAccountKey(cfg.Dir); err != nil {
		return nil, err
	}
	serving := certutil.Config{
		CommonName: "fleet-apiserver",
		AltNames:   certutil.AltNames{DNSNames: cfg.DNSNames, IPs: cfg.IPs},
		Usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if _, err := ensureLeaf(cfg, ca, servingName, serving); err != nil {
		return nil, err
	}
	frontProxy := clientConfig(Identity{User: "front-proxy-client"})
	if _, err := ensureLeaf(cfg, frontProxyCA, frontProxyName, frontProxy); err != nil {
		return nil, err
	}
	files := cfg.files()
	for _, identity := range cfg.Identities {
		leaf, err := ensureLeaf(cfg, ca, identity.Name, clientConfig(identity))
		if err != nil {
			return nil, err
		}
		path := filepath.Join(cfg.KubeconfigDir, identity.Name+".kubeconfig")
		if err := writeKubeconfig(path, cfg.ServerURL, ca.cert, identity, leaf); err != nil {
			return nil, err
		}
		files.Kubeconfigs[identity.Name] = path
	}
	return files, nil
}

func (c Config) files() *Files {
	f := &Files{Kubeconfigs: map[string]string{}}
	f.CACert, f.CAKey = pkiutil.PathsForCertAndKey(c.Dir, caName)
	f.ServingCert, f.ServingKey = pkiutil.PathsForCertAndKey(c.Dir, servingName)
	f.FrontProxyCACert, _ = pkiutil.PathsForCertAndKey(c.Dir, frontProxyCAName)
	f.FrontProxyCert, f.FrontProxyKey = pkiutil.PathsForCertAndKey(c.Dir, frontProxyName)
	f.FleetID = filepath.Join(c.Dir, "fleet-id")
	f.ServiceAccountPub = filepath.Join(c.Dir, serviceAccount+".pub")
	f.ServiceAccountKey = filepath.Join(c.Dir, serviceAccount+".key")
	return f
}

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func clientConfig(identity Identity) certutil.Config {
	return certutil.Config{
		CommonName:   identity.User,
		Organization: identity.Groups,
		Usages:       []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// ensureAuthority loads the authority, or makes it when neither its certificate
// nor its key exists. Half an authority is an error: to replace it silently
// would cut off every member and client that trusts the lost half.
func ensureAuthority(cfg Config, name, commonName string) (pair, error) {
	if pkiutil.CertOrKeyExist(cfg.Dir, name) {
		return load(cfg.Dir, name)
	}
	cert, key, err := pkiutil.NewCertificateAuthority(&pkiutil.CertConfig{
		Config:              certutil.Config{CommonName: commonName},
		NotAfter:            cfg.Clock.Now().Add(caLifetime).UTC(),
		EncryptionAlgorithm: kubeadmapi.EncryptionAlgorithmECDSAP256,
	})
	if err != nil {
		return pair{}, fmt.Errorf("make certificate authority %q: %w", name, err)
	}
	return pair{cert, key}, save(cfg.Dir, name, pair{cert, key})
}

func ensureLeaf(cfg Config, ca pair, name string, want certutil.Config) (pair, error) {
	if pkiutil.CertOrKeyExist(cfg.Dir, name) {
		if have, err := load(cfg.Dir, name); err == nil && fresh(have.cert, ca.cert, want, cfg.Clock.Now()) {
			return have, nil
		}
	}
	cert, key, err := pkiutil.NewCertAndKey(ca.cert, ca.key, &pkiutil.CertConfig{
		Config:              want,
		NotAfter:            cfg.Clock.Now().Add(leafLifetime).UTC(),
		EncryptionAlgorithm: kubeadmapi.EncryptionAlgorithmECDSAP256,
	})
	if err != nil {
		return pair{}, fmt.Errorf("issue certificate %q: %w", name, err)
	}
	return pair{cert, key}, save(cfg.Dir, name, pair{cert, key})
}

// fresh reports whether have was signed by ca for everything want names and
// still has more than a third of its life left at now.
func fresh(have, ca *x509.Certificate, want certutil.Config, now time.Time) bool {
	if have.CheckSignatureFrom(ca) != nil || have.Subject.CommonName != want.CommonName ||
		!slices.Equal(have.Subject.Organization, want.Organization) {
		return false
	}
	for _, name := range want.AltNames.DNSNames {
		if have.VerifyHostname(name) != nil {
			return false
		}
	}
	for _, ip := range want.AltNames.IPs {
		if have.VerifyHostname(ip.String()) != nil {
			return false
		}
	}
	return now.Before(have.NotAfter.Add(-leafLifetime / 3))
}

func ensureServiceAccountKey(dir string) error {
	if pkiutil.CertOrKeyExist(dir, serviceAccount) {
		if _, _, err := pkiutil.TryLoadPrivatePublicKeyFromDisk(dir, serviceAccount); err != nil {
			return fmt.Errorf("load service-account signing key from %q: %w", dir, err)
		}
		return nil
	}
	// RSA because OIDC relying parties must support RS256 but need not support ECDSA.
	key, err := pkiutil.GeneratePrivateKey(kubeadmapi.EncryptionAlgorithmRSA2048)
	if err != nil {
		return fmt.Errorf("make service-account signing key: %w", err)
	}
	if err := pkiutil.WriteKey(dir, serviceAccount, key); err != nil {
		return fmt.Errorf("write service-account signing key: %w", err)
	}
	if err := pkiutil.WritePublicKey(dir, serviceAccount, key.Public()); err != nil {
		return fmt.Errorf("write service-account public key: %w", err)
	}
	return nil
}

func load(dir, name string) (pair, error) {
	cert, key, err := pkiutil.TryLoadCertAndKeyFromDisk(dir, name)
	if err != nil {
		return pair{}, fmt.Errorf("load certificate and key %q from %q: %w", name, dir, err)
	}
	return pair{cert, key}, nil
}

func save(dir, name string, p pair) error {
	if err := pkiutil.WriteCertAndKey(dir, name, p.cert, p.key); err != nil {
		return fmt.Errorf("write certificate and key %q to %q: %w", name, dir, err)
	}
	return nil
}
