// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/klog/v2"
)

// clusterInfo is what a cluster that wants to join reads before it trusts
// anything: ConfigMap cluster-info in kube-public, as kubeadm makes it. The stock
// controller signs it with every bootstrap token.
type clusterInfo struct {
	// authority verifies the serving certificate, in PEM. Empty if it is not known:
	// then there is no ConfigMap.
	authority []byte
	// server is the address for those who come from elsewhere.
	server string
	// sole says that no other server writes the same ConfigMap.
	sole bool
}

func newClusterInfo(opts CompletedOptions) (clusterInfo, error) {
	authority, err := servingAuthority(opts)
	host := net.JoinHostPort(opts.GenericServerRunOptions.ExternalHost, strconv.Itoa(opts.SecureServing.BindPort))
	return clusterInfo{authority: authority, server: "https://" + host, sole: opts.embed}, err
}

// servingAuthority returns the fleet's CA, or for a serving certificate from
// elsewhere the authorities that come with it.
func servingAuthority(opts CompletedOptions) ([]byte, error) {
	file, own := opts.SecureServing.ServerCert.CertKey.CertFile, opts.pki.CACert
	if file == opts.pki.ServingCert {
		file = own
	}
	certificates, err := cert.CertsFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the authority of the serving certificate: %w", err)
	}
	var authorities []*x509.Certificate
	for _, c := range certificates {
		if c.IsCA || bytes.Equal(c.RawSubject, c.RawIssuer) {
			authorities = append(authorities, c)
		}
	}
	if len(authorities) == 0 {
		return nil, nil
	}
	return cert.EncodeCertificates(authorities...)
}

// try makes the ConfigMap, or brings it up to date when the authority changed.
// Signatures are the signing controller's: they stay until it replaces them.
func (c clusterInfo) try(ctx context.Context, kube kubernetes.Interface) error {
	if len(c.authority) == 0 {
		klog.FromContext(ctx).Info("The serving certificate comes without its authority: clusters cannot discover this fleet by a bootstrap token")
		return nil
	}
	maps := kube.CoreV1().ConfigMaps(metav1.NamespacePublic)
	found, err := maps.Get(ctx, bootstrapapi.ConfigMapClusterInfo, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		content, err := c.kubeconfig()
		if err != nil {
			return err
		}
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: bootstrapapi.ConfigMapClusterInfo},
			Data:       map[string]string{bootstrapapi.KubeConfigKey: content},
		}, metav1.CreateOptions{})
		return err // another server may have been faster: the next attempt sees
	}
	if err != nil || c.upToDate(found.Data[bootstrapapi.KubeConfigKey]) {
		return err
	}
	content, err := c.kubeconfig()
	if err != nil {
		return err
	}
	if found.Data == nil {
		found.Data = map[string]string{}
	}
	found.Data[bootstrapapi.KubeConfigKey] = content
	_, err = maps.Update(ctx, found, metav1.UpdateOptions{})
	return err
}

// upToDate compares the authority, and the address too where no other server
// may have written its own.
func (c clusterInfo) upToDate(content string) bool {
	config, err := clientcmd.Load([]byte(content))
	if err != nil || config.Clusters[""] == nil {
		return false
	}
	known := config.Clusters[""]
	return bytes.Equal(known.CertificateAuthorityData, c.authority) && (!c.sole || known.Server == c.server)
}

// kubeconfig returns a kubeconfig with a nameless cluster and no user, the form
// that the readers of cluster-info expect.
func (c clusterInfo) kubeconfig() (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters[""] = &clientcmdapi.Cluster{Server: c.server, CertificateAuthorityData: c.authority}
	content, err := clientcmd.Write(*config)
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", bootstrapapi.ConfigMapClusterInfo, err)
	}
	return string(content), nil
}
