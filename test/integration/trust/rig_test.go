// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"maps"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"fleet.dev/fleet/cmd/fleet/accept"
	"fleet.dev/fleet/cmd/fleet/token"
	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/controllers/manager"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/test/integration/harness"
)

// patience bounds every wait.
const patience = 60 * time.Second

// fleet is the server all tests share; each has clusters of its own.
var fleet *harness.APIServer

func TestMain(m *testing.M) {
	ctx, cancel := context.WithCancel(context.Background())
	code := harness.Main(m, func(_ context.Context, server *harness.APIServer) error {
		fleet = server
		controllers, err := newManager(server)
		if err == nil {
			go func() { _ = controllers.Run(ctx) }() // its errors show in what the tests wait for
		}
		return err
	})
	cancel()
	os.Exit(code)
}

func newManager(server *harness.APIServer) (*manager.Manager, error) {
	client, err := server.ConfigOf("controller-manager")
	if err != nil {
		return nil, err
	}
	config, err := manager.NewConfig(client)
	if err != nil {
		return nil, err
	}
	pki := filepath.Join(server.DataDir, "pki")
	config.Kube.SAController.ServiceAccountKeyFile = filepath.Join(pki, "sa.key")
	config.Kube.SAController.RootCAFile = filepath.Join(pki, "ca.crt")
	config.Kube.CSRSigningController.ClusterSigningCertFile = filepath.Join(pki, "ca.crt")
	config.Kube.CSRSigningController.ClusterSigningKeyFile = filepath.Join(pki, "ca.key")
	return manager.New(config)
}

// eventually waits until met returns true, and fails with reason if it does not.
// Errors of met count as not yet.
func eventually(t *testing.T, reason string, met func(ctx context.Context) (bool, error)) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		var ok bool
		ok, last = met(ctx)
		return ok && last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: not within %s (last error: %v)", reason, patience, last)
	}
}

// must fails the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(result T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
}

// newKey returns a key and its fingerprint.
func newKey(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return key, must[string](t)(identity.Fingerprint(key.Public()))
}

// bare returns a configuration without credentials.
func bare() *rest.Config {
	config := rest.AnonymousClientConfig(fleet.Config)
	config.QPS, config.Burst = -1, 0
	return config
}

// withToken returns the configuration of who has a new bootstrap token.
func withToken(t *testing.T, o token.Options) *rest.Config {
	t.Helper()
	made, err := token.Create(t.Context(), fleet.Kube, o)
	if err != nil {
		t.Fatal(err)
	}
	config := bare()
	config.BearerToken = made.Token.String()
	eventually(t, "a new token is known to the server", func(ctx context.Context) (bool, error) {
		_, err := kubernetes.NewForConfigOrDie(config).Discovery().RESTClient().Get().AbsPath("/api").DoRaw(ctx)
		return err == nil, err
	})
	return config
}

// withCertificate returns the configuration of who holds a certificate.
func withCertificate(t *testing.T, certificate []byte, key *ecdsa.PrivateKey) *rest.Config {
	t.Helper()
	config := bare()
	config.CertData = certificate
	config.KeyData = must[[]byte](t)(keyutil.MarshalPrivateKeyToPEM(key))
	return config
}

// template changes a request before it is sent.
type template func(*x509.CertificateRequest, *certificatesv1.CertificateSigningRequest)

// ask creates a request for an identity with a key.
func ask(t *testing.T, as *rest.Config, i identity.Identity, key *ecdsa.PrivateKey, changes ...template) (*certificatesv1.CertificateSigningRequest, error) {
	t.Helper()
	request := &x509.CertificateRequest{Subject: i.Subject()}
	object := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "csr-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: identity.Signer, Usages: identity.Usages(), ExpirationSeconds: new(int32(identity.MaxLifetime / time.Second)),
		},
	}
	for _, change := range changes {
		change(request, object)
	}
	der := must[[]byte](t)(x509.CreateCertificateRequest(rand.Reader, request, key))
	object.Spec.Request = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	return kubernetes.NewForConfigOrDie(as).CertificatesV1().CertificateSigningRequests().Create(t.Context(), object, metav1.CreateOptions{})
}

// fetch waits for the certificate of a request, with the rights of who asked.
func fetch(t *testing.T, as *rest.Config, request *certificatesv1.CertificateSigningRequest) []byte {
	t.Helper()
	var certificate []byte
	eventually(t, "request "+request.Name+" is approved and signed", func(ctx context.Context) (bool, error) {
		found, err := kubernetes.NewForConfigOrDie(as).CertificatesV1().CertificateSigningRequests().Get(ctx, request.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		certificate = found.Status.Certificate
		return len(certificate) > 0, nil
	})
	return certificate
}

// decision waits until a request is approved or denied, and returns how.
func decision(t *testing.T, request *certificatesv1.CertificateSigningRequest) certificatesv1.CertificateSigningRequestCondition {
	t.Helper()
	var decided certificatesv1.CertificateSigningRequestCondition
	eventually(t, "request "+request.Name+" is decided", func(ctx context.Context) (bool, error) {
		found, err := fleet.Kube.CertificatesV1().CertificateSigningRequests().Get(ctx, request.Name, metav1.GetOptions{})
		if err != nil || len(found.Status.Conditions) == 0 {
			return false, err
		}
		decided = found.Status.Conditions[0]
		return true, nil
	})
	return decided
}

// clusterWith waits until a Cluster is as wanted.
func clusterWith(t *testing.T, name, reason string, wanted func(*clusterv1alpha1.Cluster) bool) *clusterv1alpha1.Cluster {
	t.Helper()
	var cluster *clusterv1alpha1.Cluster
	eventually(t, reason, func(ctx context.Context) (ok bool, err error) {
		cluster, err = fleet.Fleet.ClusterV1alpha1().Clusters().Get(ctx, name, metav1.GetOptions{})
		return err == nil && wanted(cluster), err
	})
	return cluster
}

func exists(*clusterv1alpha1.Cluster) bool { return true }

// patchCluster changes a Cluster as the administrator.
func patchCluster(t *testing.T, name, patch string) {
	t.Helper()
	must[*clusterv1alpha1.Cluster](t)(fleet.Fleet.ClusterV1alpha1().Clusters().Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}))
}

// acceptKey accepts a member as "fleet accept" does.
func acceptKey(t *testing.T, name, key string) {
	t.Helper()
	cluster := must[*clusterv1alpha1.Cluster](t)(accept.Find(t.Context(), fleet.Fleet, name))
	waiting := must[[]accept.Candidate](t)(accept.Waiting(t.Context(), fleet.Kube, name))
	chosen, news, err := accept.Choose(cluster, waiting, key)
	if err != nil || !news {
		t.Fatalf("choose who is accepted as %s: %t, %v", name, news, err)
	}
	if err := accept.Accept(t.Context(), fleet.Fleet, cluster, chosen); err != nil {
		t.Fatal(err)
	}
}

// agent is a member that is in the fleet.
type agent struct {
	identity.Identity
	key    *ecdsa.PrivateKey
	config *rest.Config
}

// join brings a member in with a token that accepts it, and its namespace.
func join(t *testing.T, name string) agent {
	t.Helper()
	key, registration := newKey(t)
	i := identity.Identity{Cluster: name, ID: "id-of-" + name, Registration: registration}
	as := withToken(t, token.Options{TTL: time.Hour, AutoAccept: true})
	request := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, as, i, key))
	joined := agent{Identity: i, key: key, config: withCertificate(t, fetch(t, as, request), key)}
	namespace := clusterv1alpha1.MemberNamespace(name)
	eventually(t, "the member's namespace is made", func(ctx context.Context) (bool, error) {
		_, err := fleet.Kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		return err == nil, err
	})
	eventually(t, "the agent is trusted", func(ctx context.Context) (bool, error) {
		_, err := joined.works(ctx)
		return err == nil, err
	})
	return joined
}

// works lists the works of the member, which says whether the agent is trusted.
func (a agent) works(ctx context.Context) (int, error) {
	client, err := fleetclient.NewForConfig(a.config)
	if err != nil {
		return 0, err
	}
	list, err := client.WorkV1alpha1().Works(clusterv1alpha1.MemberNamespace(a.Cluster)).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	return len(list.Items), nil
}

// losesRights waits until the agent is refused.
func (a agent) losesRights(t *testing.T, reason string) {
	t.Helper()
	eventually(t, reason, func(ctx context.Context) (bool, error) {
		_, err := a.works(ctx)
		if apierrors.IsForbidden(err) {
			return true, nil
		}
		return false, err
	})
}

// do sends a request and returns status code and body.
func do(t *testing.T, config *rest.Config, a try) (int, string) {
	t.Helper()
	client := must[*http.Client](t)(rest.HTTPClientFor(config))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req := must[*http.Request](t)(http.NewRequestWithContext(ctx, a.method, fleet.Config.Host+a.path, strings.NewReader(a.body)))
	maps.Copy(req.Header, a.header)
	if a.contentType != "" {
		req.Header.Set("Content-Type", a.contentType)
	}
	response, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	defer response.Body.Close() //nolint:errcheck // read to the end
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", a.method, a.path, err)
	}
	return response.StatusCode, string(content)
}

// watchWorks opens a watch of the member's works.
func watchWorks(t *testing.T, a agent) (watch.Interface, error) {
	t.Helper()
	client, err := fleetclient.NewForConfig(a.config)
	if err != nil {
		return nil, err
	}
	return client.WorkV1alpha1().Works(clusterv1alpha1.MemberNamespace(a.Cluster)).Watch(t.Context(), metav1.ListOptions{})
}

// issue makes a certificate by hand with the fleet's authority, as the signer
// would have a day before notAfter.
func issue(t *testing.T, i identity.Identity, key *ecdsa.PrivateKey, notAfter time.Time) []byte {
	t.Helper()
	pki := filepath.Join(fleet.DataDir, "pki")
	authority, signer, err := pkiutil.TryLoadCertAndKeyFromDisk(pki, "ca")
	if err != nil {
		t.Fatal(err)
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: i.Subject(), NotBefore: notAfter.Add(-identity.MaxLifetime), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority, key.Public(), signer))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
