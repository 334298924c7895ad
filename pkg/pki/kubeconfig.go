// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
)

// contextName names the cluster and the context in every kubeconfig made here.
const contextName = "fleet"

// writeKubeconfig writes path for identity when its content differs; the file
// appears whole or not at all, with mode 0600.
func writeKubeconfig(path, server string, ca *x509.Certificate, identity Identity, client pair) error {
	key, err := keyutil.MarshalPrivateKeyToPEM(client.key)
	if err != nil {
		return fmt.Errorf("encode key of %q: %w", identity.User, err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[contextName] = &clientcmdapi.Cluster{
		Server: server, CertificateAuthorityData: pkiutil.EncodeCertPEM(ca),
	}
	config.AuthInfos[identity.User] = &clientcmdapi.AuthInfo{
		ClientCertificateData: pkiutil.EncodeCertPEM(client.cert), ClientKeyData: key,
	}
	config.Contexts[contextName] = &clientcmdapi.Context{Cluster: contextName, AuthInfo: identity.User}
	config.CurrentContext = contextName
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encode kubeconfig %q: %w", path, err)
	}
	return replaceFile(path, data)
}

func replaceFile(path string, data []byte) error {
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	if err == nil && bytes.Equal(have, data) {
		return os.Chmod(path, 0o600)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone already after the rename
	if _, err := tmp.Write(data); err != nil {
		return errors.Join(fmt.Errorf("write kubeconfig: %w", err), tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
