// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pubkeypin"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// agentProgram is the program of the agent.
const agentProgram = "syncer"

// newAgent makes the handle of the process that is the agent of a member that can
// only dial out. The Deployment that "fleet register" makes in the member is there
// too, but its Pods are played by kwok.
func (b *Bed) newAgent(l memberLayout, n *network) *Process {
	p := b.process(l.config.Name+"/agent", filepath.Join(b.cfg.Bin, agentProgram), append([]string{
		"--mode=pull",
		"--cluster=" + l.config.Name,
		"--member-kubeconfig=" + l.componentKubeconfig("agent"),
		// A new process would wait for the lease of one that was killed; in a
		// cluster it does not, since the Pod keeps its name.
		"--leader-elect=false",
		"--secure-port=0",
	}, l.config.Flags["agent"]...))
	p.within = n.holder
	return p
}

// StartAgent starts the agent of a member that can only dial out, unless it runs,
// with a token of its ServiceAccount, which "fleet register" makes.
func (m *Member) StartAgent(ctx context.Context) error {
	if m.Agent.Alive() {
		return nil
	}
	if err := m.writeAgentKubeconfig(ctx); err != nil {
		return fmt.Errorf("make credentials for the agent of member %q: %w", m.Name(), err)
	}
	return m.Agent.Start(ctx)
}

// writeAgentKubeconfig writes what a Pod of the agent would be given.
func (m *Member) writeAgentKubeconfig(ctx context.Context) error {
	config, err := m.RESTConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(lifetime.Seconds()))},
	}
	token, err := client.CoreV1().ServiceAccounts(wellknown.NamespaceSystem).CreateToken(ctx, wellknown.AgentName, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(m.layout.keys().ca())
	if err != nil {
		return err
	}
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters["member"] = &clientcmdapi.Cluster{Server: httpsURL(m.layout.ports.APIServer), CertificateAuthorityData: ca}
	kubeconfig.AuthInfos["agent"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	kubeconfig.Contexts["member"] = &clientcmdapi.Context{Cluster: "member", AuthInfo: "agent"}
	kubeconfig.CurrentContext = "member"
	return clientcmd.WriteToFile(*kubeconfig, m.layout.componentKubeconfig("agent"))
}

// CACertHash is the pin of the fleet's certificate authority, as "fleet register"
// and kubeadm take it: of the public key.
func (f *Fleet) CACertHash() (string, error) {
	certs, err := cert.CertsFromFile(filepath.Join(f.dataDir, "pki", "ca.crt"))
	if err != nil {
		return "", err
	}
	return pubkeypin.Hash(certs[0]), nil
}

// Register registers a member that can only dial out, as the administrators of
// the fleet and of the member do it together: a token, "fleet register" with it, and,
// when the fleet has heard of the member, "fleet accept". It starts the agent and
// does not wait for the member to be ready.
func (f *Fleet) Register(ctx context.Context, m *Member) error {
	token, err := f.Run(ctx, "token", "create", "--description=for "+m.Name())
	if err != nil {
		return err
	}
	if err := f.RegisterWith(ctx, m, strings.TrimSpace(token)); err != nil {
		return err
	}
	err = f.Process.await(ctx, readyTimeout, func(ctx context.Context) error {
		_, err := f.cluster(ctx, m.Name())
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for cluster %q to register: %w", m.Name(), err)
	}
	_, err = f.Run(ctx, "accept", m.Name())
	return err
}

// RegisterWith registers a member with a token and starts its agent.
func (f *Fleet) RegisterWith(ctx context.Context, m *Member, token string) error {
	if m.network == nil {
		return fmt.Errorf("register member %q: it is not in a network of its own", m.Name())
	}
	hash, err := f.CACertHash()
	if err != nil {
		return err
	}
	if _, err := f.Run(ctx, "register", m.Name(), "--token="+token, "--ca-cert-hash="+hash,
		"--server="+httpsURL(f.port), "--kubeconfig="+m.Kubeconfig(), "--wait=false"); err != nil {
		return err
	}
	return m.StartAgent(ctx)
}
