// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/cluster-bootstrap/token/jws"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pubkeypin"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// requestTimeout bounds one request to the fleet.
	requestTimeout = 15 * time.Second
	// signatureTimeout is how long the fleet may take to sign cluster-info with a
	// token that was made just now.
	signatureTimeout = 10 * time.Second
	pollPeriod       = 500 * time.Millisecond
)

// Errors of Discover.
var (
	// ErrCA says that the fleet's CA is not the one the user named.
	ErrCA = errors.New("the CA of the fleet is not the expected one")
	// ErrToken says that the token is no good.
	ErrToken = errors.New("the token is not valid in this fleet")
	// ErrNoFleet says that the server does not let clusters register.
	ErrNoFleet = errors.New("the server does not say how to join it")
)

// Source is where to find a fleet and why to believe it.
type Source struct {
	// Server is the URL, or host and port, of the fleet as the member reaches it.
	Server string
	// Token is a bootstrap token, id.secret.
	Token string
	// CACertHashes are hashes of public keys, sha256:<hex>; the CA must have one
	// of them.
	CACertHashes []string
	// AnyCA trusts the CA the server shows when it is signed with the token.
	// Whoever knows the token can then pose as the fleet.
	AnyCA bool
}

// Fleet is a fleet that proved itself.
type Fleet struct {
	// Server is its URL.
	Server string
	// CA verifies it, in PEM.
	CA []byte
	// CAHash is the hash of the CA's public key, sha256:<hex>.
	CAHash string
	// Token is the bootstrap token.
	Token string
	// Accepts says that a cluster with this token needs no administrator.
	Accepts bool
}

// Discover finds the fleet and verifies it, and the token.
func Discover(ctx context.Context, source Source) (*Fleet, error) {
	server, pins, err := source.parse()
	if err != nil {
		return nil, err
	}
	id, secret, _ := strings.Cut(source.Token, ".")
	anonymous := &rest.Config{Host: server, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	info, err := awaitSigned(ctx, anonymous, id)
	if err != nil {
		return nil, err
	}
	content := info.Data[bootstrapapi.KubeConfigKey]
	if !jws.DetachedTokenIsValid(info.Data[bootstrapapi.JWSSignatureKeyPrefix+id], content, id, secret) {
		return nil, fmt.Errorf("%w: its secret is not the one %s signed with, or somebody changed the answer on its way", ErrToken, server)
	}
	authorities, err := authoritiesIn(content)
	if err != nil {
		return nil, err
	}
	if !source.AnyCA {
		if authorities, err = pinned(authorities, pins); err != nil {
			return nil, err
		}
	}
	fleet := &Fleet{Server: server, CA: encode(authorities), CAHash: pubkeypin.Hash(authorities[0]), Token: source.Token}
	if err := fleet.verify(ctx, content); err != nil {
		return nil, err
	}
	return fleet, fleet.tryToken(ctx)
}

// parse checks what the user gave.
func (s Source) parse() (server string, pins *pubkeypin.Set, err error) {
	server = s.Server
	if !strings.Contains(server, "://") {
		server = "https://" + server
	}
	address, err := url.Parse(server)
	if err != nil || address.Scheme != "https" || address.Host == "" {
		return "", nil, fmt.Errorf("address %q of the fleet: expected https://HOST:PORT", s.Server)
	}
	if !bootstraputil.IsValidBootstrapToken(s.Token) {
		return "", nil, errors.New("token: expected the form abcdef.0123456789abcdef, as \"fleet token create\" prints it")
	}
	if s.AnyCA == (len(s.CACertHashes) > 0) {
		return "", nil, errors.New("expected a hash of the CA, or the explicit wish to trust any")
	}
	pins = pubkeypin.NewSet()
	if err := pins.Allow(s.CACertHashes...); err != nil {
		return "", nil, fmt.Errorf("hash of the CA: %w", err)
	}
	return strings.TrimSuffix(server, "/"), pins, nil
}

// awaitSigned returns cluster-info when it is signed for the token.
func awaitSigned(ctx context.Context, config *rest.Config, tokenID string) (*corev1.ConfigMap, error) {
	var info *corev1.ConfigMap
	err := wait.PollUntilContextTimeout(ctx, pollPeriod, signatureTimeout, true, func(ctx context.Context) (done bool, err error) {
		seen, err := clusterInfo(ctx, config)
		if err != nil {
			return false, err
		}
		info = seen
		return info.Data[bootstrapapi.JWSSignatureKeyPrefix+tokenID] != "", nil
	})
	if err != nil && info != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: %s does not know a token with id %q, or it has expired: make one with \"fleet token create\"", ErrToken, config.Host, tokenID)
	}
	return info, err
}

// clusterInfo reads what the fleet says about itself to anybody.
func clusterInfo(ctx context.Context, config *rest.Config) (*corev1.ConfigMap, error) {
	config = rest.CopyConfig(config)
	config.Timeout = requestTimeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the fleet: %w", err)
	}
	info, err := client.CoreV1().ConfigMaps(metav1.NamespacePublic).Get(ctx, bootstrapapi.ConfigMapClusterInfo, metav1.GetOptions{})
	switch {
	case err == nil && info.Data[bootstrapapi.KubeConfigKey] != "":
		return info, nil
	case err == nil:
		return nil, fmt.Errorf("%w: ConfigMap %s/%s at %s has no key %q", ErrNoFleet, metav1.NamespacePublic, bootstrapapi.ConfigMapClusterInfo, config.Host, bootstrapapi.KubeConfigKey)
	case apierrors.ReasonForError(err) != metav1.StatusReasonUnknown:
		return nil, fmt.Errorf("%w: ConfigMap %s/%s at %s: %w", ErrNoFleet, metav1.NamespacePublic, bootstrapapi.ConfigMapClusterInfo, config.Host, err)
	}
	return nil, fmt.Errorf("reach the fleet at %s: %w", config.Host, explainTLS(err))
}

// explainTLS says what to do about a certificate that does not fit.
func explainTLS(err error) error {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("%w: use an address that is in its certificate, or add this one with --tls-san where the fleet is started", err)
	case errors.As(err, &authority):
		return fmt.Errorf("%w: its certificate was not issued by that CA: %w", ErrCA, err)
	}
	return err
}

// authoritiesIn returns the CAs in the kubeconfig of cluster-info.
func authoritiesIn(content string) ([]*x509.Certificate, error) {
	config, err := clientcmd.Load([]byte(content))
	if err != nil {
		return nil, fmt.Errorf("%w: read the kubeconfig in cluster-info: %w", ErrNoFleet, err)
	}
	for _, cluster := range config.Clusters {
		authorities, err := cert.ParseCertsPEM(cluster.CertificateAuthorityData)
		if err != nil {
			return nil, fmt.Errorf("%w: read the CA in cluster-info: %w", ErrNoFleet, err)
		}
		return authorities, nil
	}
	return nil, fmt.Errorf("%w: the kubeconfig in cluster-info names no cluster", ErrNoFleet)
}

// pinned returns the CAs with a hash the user gave. Those beside them are not
// trusted: only the holder of the token signed for them.
func pinned(authorities []*x509.Certificate, pins *pubkeypin.Set) ([]*x509.Certificate, error) {
	trusted := slices.DeleteFunc(slices.Clone(authorities), func(authority *x509.Certificate) bool {
		return pins.CheckAny([]*x509.Certificate{authority}) != nil
	})
	if len(trusted) == 0 {
		return nil, fmt.Errorf("%w: %w; do not register unless you know why", ErrCA, pins.CheckAny(authorities))
	}
	return trusted, nil
}

func encode(certificates []*x509.Certificate) []byte {
	var out []byte
	for _, certificate := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: certificate.Raw})...)
	}
	return out
}

// verify has the server prove itself with the CA, and compares what it says then.
func (f *Fleet) verify(ctx context.Context, content string) error {
	info, err := clusterInfo(ctx, f.anonymous())
	if err != nil {
		return err
	}
	if info.Data[bootstrapapi.KubeConfigKey] != content {
		return fmt.Errorf("%w: cluster-info is another one when it is asked for securely", ErrCA)
	}
	return nil
}

// tryToken asks the fleet who the token is.
func (f *Fleet) tryToken(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(f.bearer())
	if err != nil {
		return fmt.Errorf("make a client to the fleet: %w", err)
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if apierrors.IsUnauthorized(err) {
		return fmt.Errorf("%w: it may not be used to log in, or has expired: make one with \"fleet token create\"", ErrToken)
	}
	if err != nil {
		return fmt.Errorf("ask the fleet who the token is: %w", err)
	}
	groups := review.Status.UserInfo.Groups
	if !slices.Contains(groups, wellknown.GroupAgentBootstrappers) {
		return fmt.Errorf("%w: it is not for clusters to join with (it lacks group %s): make one with \"fleet token create\"", ErrToken, wellknown.GroupAgentBootstrappers)
	}
	f.Accepts = slices.Contains(groups, wellknown.GroupAgentAutoAccept)
	return nil
}

func (f *Fleet) anonymous() *rest.Config {
	return &rest.Config{Host: f.Server, TLSClientConfig: rest.TLSClientConfig{CAData: f.CA}, Timeout: requestTimeout}
}

func (f *Fleet) bearer() *rest.Config {
	config := f.anonymous()
	config.BearerToken = f.Token
	return config
}

// Kubeconfig returns what the agent registers with.
func (f *Fleet) Kubeconfig() ([]byte, error) {
	const name, user = "fleet", "bootstrap"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: f.Server, CertificateAuthorityData: f.CA}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: f.Token}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	out, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encode the bootstrap kubeconfig: %w", err)
	}
	return out, nil
}
