// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"fleet.dev/fleet/pkg/agent"
	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/pkg/member/fake"
	"fleet.dev/fleet/test/testbed"
)

const (
	// certificateLife is longer than any test.
	certificateLife = 12 * time.Hour
	// creators is how many Clusters are created together.
	creators = 8
)

// Crowd is a number of agents with simulated members.
type Crowd struct {
	fleet       *testbed.Fleet
	fleetClient fleetclient.Interface
	metrics     rest.Interface
	agents      []*agent.Agent
}

// authority signs the agents' certificates with the fleet's key.
type authority struct {
	cert      *x509.Certificate
	key       crypto.Signer
	bootstrap []byte
}

// Start starts n agents, which run until the test ends. It does not wait for them
// to join.
func Start(tb testing.TB, fleet *testbed.Fleet, n int) *Crowd {
	tb.Helper()
	c := &Crowd{fleet: fleet, agents: make([]*agent.Agent, n)}
	config, err := fleet.RESTConfig()
	if err != nil {
		tb.Fatal(err)
	}
	if c.fleetClient, err = fleetclient.NewForConfig(config); err != nil {
		tb.Fatal(err)
	}
	c.metrics = c.fleetClient.Discovery().RESTClient()
	signer, err := loadAuthority(fleet, config)
	if err != nil {
		tb.Fatal(err)
	}
	members := make([]*fake.Member, n)
	for i := range members {
		members[i] = fake.Start(tb)
	}
	errs := make([]error, n)
	each(n, creators, func(i int) { errs[i] = c.add(tb.Context(), i, members[i], signer) })
	if err := errors.Join(errs...); err != nil {
		tb.Fatal(err)
	}
	c.run(tb)
	return c
}

// each calls do for 0 to n-1, some at a time.
func each(n, together int, do func(i int)) {
	next := make(chan int)
	var group sync.WaitGroup
	for range together {
		group.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
}

func loadAuthority(fleet *testbed.Fleet, config *rest.Config) (*authority, error) {
	pki := filepath.Join(fleet.DataDir(), "pki")
	certs, err := cert.CertsFromFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the fleet's CA: %w", err)
	}
	key, err := keyutil.PrivateKeyFromFile(filepath.Join(pki, "ca.key"))
	if err != nil {
		return nil, fmt.Errorf("read the fleet's CA: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read the fleet's CA: a key of type %T cannot sign", key)
	}
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters["fleet"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: pkiutil.EncodeCertPEM(certs[0])}
	kubeconfig.Contexts["fleet"] = &clientcmdapi.Context{Cluster: "fleet"}
	kubeconfig.CurrentContext = "fleet"
	bootstrap, err := clientcmd.Write(*kubeconfig)
	return &authority{cert: certs[0], key: signer, bootstrap: bootstrap}, err
}

// name is the name of the i-th Cluster.
func name(i int) string { return fmt.Sprintf("crowd-%04d", i) }

// add joins the i-th member.
func (c *Crowd) add(ctx context.Context, i int, member *fake.Member, signer *authority) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	fingerprint, err := identity.Fingerprint(key.Public())
	if err != nil {
		return err
	}
	who := identity.Identity{Cluster: name(i), ID: string(member.UID()), Registration: fingerprint}
	credentials, err := signer.issue(who, key)
	if err != nil {
		return fmt.Errorf("issue a certificate for %s: %w", who.Cluster, err)
	}
	_, err = c.fleetClient.ClusterV1alpha1().Clusters().Create(ctx, &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: who.Cluster, Annotations: map[string]string{wellknown.AnnotationRegistrationKey: fingerprint}},
		Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull, ID: who.ID, Accepted: true},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create Cluster %s: %w", who.Cluster, err)
	}
	c.agents[i], err = agent.New(agent.Config{
		Cluster: who.Cluster,
		Member:  func() (*rest.Config, error) { return member.Config(), nil },
		Store:   agent.NewMemoryStore(credentials),
	})
	return err
}

// issue makes what an agent has in store once it is accepted.
func (a *authority) issue(who identity.Identity, key *ecdsa.PrivateKey) (agent.Credentials, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return agent.Credentials{}, err
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: who.Subject(), NotBefore: now.Add(-time.Minute), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}, a.cert, key.Public(), a.key)
	if err != nil {
		return agent.Credentials{}, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return agent.Credentials{}, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	return agent.Credentials{Bootstrap: a.bootstrap, Certificate: pkiutil.EncodeCertPEM(parsed), Key: keyPEM}, err
}

// run runs all agents at once until the test ends. Their logs are beside those of
// the server.
func (c *Crowd) run(tb testing.TB) {
	tb.Helper()
	log, err := os.Create(filepath.Join(filepath.Dir(c.fleet.Process.LogFile()), "agents.log"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = log.Close() })
	logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(log)))
	ctx, cancel := context.WithCancel(klog.NewContext(context.WithoutCancel(tb.Context()), logger))
	var group sync.WaitGroup
	for i, a := range c.agents {
		group.Go(func() {
			if err := a.Run(ctx); err != nil && ctx.Err() == nil {
				tb.Errorf("run agent %s: %v", name(i), err)
			}
		})
	}
	tb.Cleanup(func() {
		cancel()
		group.Wait()
	})
}
