// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pubkeypin"
)

// Endpoint is what a cluster has to know of a fleet before it can trust it.
type Endpoint struct {
	// Server is the address.
	Server string
	// Pins are the hashes of the public keys of its authorities.
	Pins []string
}

// errNoClusterInfo says that the fleet cannot be discovered.
var errNoClusterInfo = errors.New("the fleet has no ConfigMap cluster-info in kube-public: its serving certificate comes without the authority that signed it; " +
	"add that to the file of --tls-cert-file")

// Discover returns the endpoint for clusters elsewhere. The address is the first
// of: server; the address that this client uses, unless it is one that only this
// machine has; the address that the fleet gives as its own.
func Discover(ctx context.Context, kube kubernetes.Interface, server, used string) (Endpoint, error) {
	info, err := kube.CoreV1().ConfigMaps(metav1.NamespacePublic).Get(ctx, bootstrapapi.ConfigMapClusterInfo, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Endpoint{}, errNoClusterInfo
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("get ConfigMap cluster-info: %w", err)
	}
	cluster, err := clusterOf(info.Data[bootstrapapi.KubeConfigKey])
	if err != nil {
		return Endpoint{}, fmt.Errorf("read ConfigMap cluster-info: %w", err)
	}
	authorities, err := cert.ParseCertsPEM(cluster.CertificateAuthorityData)
	if err != nil {
		return Endpoint{}, fmt.Errorf("read ConfigMap cluster-info: %w", err)
	}
	endpoint := Endpoint{Server: server}
	if endpoint.Server == "" && !isLoopback(used) {
		endpoint.Server = used
	}
	if endpoint.Server == "" {
		endpoint.Server = cluster.Server
	}
	for _, authority := range authorities {
		endpoint.Pins = append(endpoint.Pins, pubkeypin.Hash(authority))
	}
	return endpoint, nil
}

func clusterOf(content string) (*clientcmdapi.Cluster, error) {
	config, err := clientcmd.Load([]byte(content))
	if err != nil {
		return nil, err
	}
	if cluster := config.Clusters[""]; cluster != nil {
		return cluster, nil
	}
	return nil, errors.New("it holds no cluster")
}

// isLoopback returns whether an address reaches only this machine, or cannot be
// read.
func isLoopback(server string) bool {
	parsed, err := url.Parse(server)
	if err != nil || parsed.Scheme != "https" {
		return true
	}
	ip := net.ParseIP(parsed.Hostname())
	return parsed.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Command returns the command that asks to join; what users call this program is
// its first word.
func Command(program, name, token string, endpoint Endpoint) string {
	words := []string{program, "register", name, "--server", endpoint.Server, "--token", token}
	for _, pin := range endpoint.Pins {
		words = append(words, "--ca-cert-hash", pin)
	}
	return strings.Join(words, " ")
}
